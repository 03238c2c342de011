"""Multi-query associative recall, by two layers of any mixer.

Claim     Attention tells all answers (accuracy 1.0) at every width, and models of convolutions and
          gates need a width that grows with the number of pairs (Arora et al. 2023, figure 2; the
          paper prints no numbers).
Command   lmjax train --config=experiments/synthetic/mqar.py --workdir=runs/mqar
          --config.model.pattern=mamba takes another mixer.
Hardware  one CPU core, some minutes.
Expected  accuracy of at least 0.99 by attention.

Vocabulary 8,192, 64 tokens with 4 pairs, width 64, no feed-forward network, as one cell of the
figure. `:smoke` takes some steps.
"""

from ml_collections import ConfigDict

from lmjax.config import base_config, with_variants

VARIANTS = {
    "smoke": {
        "data.task_options.vocabulary": 64,
        "data.task_options.evaluation_examples": 64,
        "training.duration": "20 steps",
        "evaluation.every": "20 steps",
        "checkpoint.every": "20 steps",
    },
}


def get_config(arg: str = "") -> ConfigDict:
    """Attention with the VARIANTS in `arg`; raises UserError for another."""
    config = base_config("transformer")
    config.model.update(layers=2, width=64, heads=1, context_length=64, feed_forward="none")
    config.model.update(tied=True)
    config.data.update(corpus="synthetic", task="mqar", tokenizer="ids", batching="examples")
    config.data.task_options.update(vocabulary=8192, pairs=4, power=0.01, evaluation_examples=3000)
    config.data.update(batch_size=64, length=64)
    config.objective.name = "answers"
    config.training.update(duration="2000 steps", learning_rate=3e-3, warmup="10 percent")
    config.training.update(weight_decay=0.1)
    config.evaluation.update(context="documents", splits=("validation", "test"))
    return with_variants(config, arg, VARIANTS)
