"""Multi-query associative recall, by two layers of each mixer.

Question  Which mixers tell the value of each of four keys, 64 tokens and 64 units wide?
Claim     Attention tells all (accuracy 1.0) at every width; models of convolutions and gates need a
          width that grows with the number of pairs (Arora et al. 2023, figure 2; the paper prints
          no numbers).
Command   lmjax study --study=experiments/synthetic/mqar.py --workdir=runs/mqar_study
          lmjax train --config=experiments/synthetic/mqar.py --workdir=runs/mqar
          lmjax train --config=experiments/synthetic/mqar.py:mamba --workdir=runs/mqar_mamba
Tuning    every arm tries the same three learning rates, each on a third of its training.
Hardware  one CPU core: attention in a minute and a half, the study in an hour or two.
Expected  an accuracy of at least 0.99 by attention.
Measured  attention 0.999 in two seeds of three, 0.247 in the third, which has 0.9986 after 4,000
          steps; DeltaNet, RWKV-7 and Mamba-2 0.999 in all: experiments/results/synthetic.md.
Differs   128,000 examples, none of which is seen again, where the paper has 100,000 that it goes
          through 64 times; three learning rates in place of four.

Vocabulary 8,192, 64 tokens with 4 pairs, width 64, no feed-forward network: one cell of the figure.
Variants are the mixers. `:smoke` takes some steps.
"""

import runpy
from pathlib import Path

from ml_collections import ConfigDict

from lmjax.config import base_config, with_variants
from lmjax.studies.study import Arm, Study, Tuning

BASE = runpy.run_path(Path(__file__).parent.with_name("ablations") / "base.py")
# Mixers beside attention, with their options; none of them is told where a token stands.
MIXERS = {
    "linear_attention": {"feature_map": "taylor", "key_width": 8},
    "retention": {},
    "gated_linear_attention": {},
    "delta_net": {},
    "gated_delta_net": {},
    "rwkv7": {},
    "mamba": {},
    "mamba2": {"head_width": 32},
    "hyena": {},
    "min_gru": {},
    "recurrent": {"cell": "lstm"},
}
VARIANTS = {
    "attention": {},
    **{
        name: {
            "model.pattern": (name,),
            "model.position": "none",
            "model.mixers": {name: options},
        }
        for name, options in MIXERS.items()
    },
    "smoke": {
        "data.task_options.vocabulary": 64,
        "data.task_options.evaluation_examples": 64,
        "training.duration": "20 steps",
        "evaluation.every": "20 steps",
        "checkpoint.every": "20 steps",
    },
}
TUNING = Tuning({"training.learning_rate": (1e-3, 3e-3, 1e-2)}, budget="33 percent")


def get_config(arg: str = "") -> ConfigDict:
    """Attention with the VARIANTS in `arg`; raises UserError for another."""
    config = base_config("transformer")
    config.model.update(layers=2, width=64, heads=2, context_length=64, feed_forward="none")
    config.data.update(corpus="synthetic", task="mqar", tokenizer="ids", batching="examples")
    config.data.task_options.update(vocabulary=8192, pairs=4, power=0.01, evaluation_examples=3000)
    config.data.update(batch_size=64, length=64)
    config.objective.name = "answers"
    config.training.update(duration="2000 steps", learning_rate=3e-3, warmup="10 percent")
    config.training.update(weight_decay=0.1)
    config.evaluation.update(context="documents", splits=("validation", "test"))
    return with_variants(config, arg, VARIANTS)


def get_study(arg: str = "") -> Study:
    """Attention and each of the MIXERS."""
    arms = []
    for name in ("attention", *MIXERS):
        config = get_config(name)
        config.evaluation.splits = ("validation",)  # the study reads the test once
        arms.append(Arm({"recurrent": "LSTM"}.get(name, name), config))
    return BASE["make_study"](
        "mqar",
        arg,
        question="Which mixers tell the value of each of four keys?",
        arms=tuple(arms),
        baseline="attention",
        matched=("training_tokens",),
        tuning=TUNING,
        prompt="0",
    )
