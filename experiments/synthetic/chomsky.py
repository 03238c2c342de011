"""Tasks of the Chomsky hierarchy on inputs longer than those of the training.

Claim     The best of ten seeds and three learning rates after a million steps, accuracy over
          lengths 41 to 500 (Delétang et al. 2023, table 2): an LSTM tells parity and even pairs
          without error, and a Transformer is near chance (0.5) on parity.
Command   lmjax train --config=experiments/synthetic/chomsky.py --workdir=runs/parity
          lmjax train --config=experiments/synthetic/chomsky.py:even_pairs --workdir=runs/even_pairs
Hardware  one CPU core, some minutes.
Expected  length_accuracy of the test near 1.0, for an LSTM on parity and on even pairs.
Differs   Inputs of 1 to 40 symbols as there, but some thousand steps, a width of 64 in place of
          256, a higher learning rate, and one seed. A Transformer here sees the past alone.

Variants are the fifteen tasks. `:smoke` takes some steps.
"""

from ml_collections import ConfigDict

from lmjax.config import base_config, with_variants
from lmjax.data.synthetic.registry import TASKS

SMOKE = {
    "data.task_options.evaluation_examples": 64,
    "data.task_options.test_longest": 60,
    "training.duration": "20 steps",
    "evaluation.every": "20 steps",
    "checkpoint.every": "20 steps",
}
VARIANTS = {"smoke": SMOKE, **{name: {"data.task": name} for name in [*TASKS][5:]}}


def get_config(arg: str = "") -> ConfigDict:
    """An LSTM on parity, with the VARIANTS in `arg`; raises UserError for another."""
    config = base_config("rnn")
    config.model.update(layers=1, width=64)
    config.data.update(corpus="synthetic", tokenizer="ids", batching="examples", length=40)
    config.data.task = "parity_check"
    config.data.task_options.update(test_shortest=41, test_longest=500, evaluation_examples=7360)
    config.data.batch_size = 128
    config.objective.name = "answers"
    config.training.update(duration="3000 steps", learning_rate=3e-3, warmup="2 percent")
    config.training.clip_norm = 1.0
    config.evaluation.update(context="documents", splits=("validation", "test"))
    return with_variants(config, arg, VARIANTS)
