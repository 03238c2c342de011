"""A medium LSTM with dropout on the Penn Treebank.

Claim     Validation and test perplexity 86.2 / 82.7: 2 layers of 650 units, 19.8 M parameters
          (Zaremba, Sutskever and Vinyals 2014, table 1).
Command   lmjax train --config=experiments/ptb/zaremba_medium.py --workdir=runs/zaremba_medium
Hardware  not run here; 2 CPU cores would take more than six hours (51,792 steps).
Expected  test perplexity 82.7 +- 1.0.
          All 82,430 targets are scored, in one row with carried context.

`:smoke` is a tiny model and 20 steps.
"""

from ml_collections import ConfigDict

from lmjax.config import base_config
from lmjax.errors import UserError, nearest


def get_config(arg: str = "") -> ConfigDict:
    """The recipe, or its `smoke` variant; raises UserError for another `arg`."""
    if arg not in ("", "smoke"):
        raise UserError(f"zaremba_medium has no variant {arg!r}: {nearest(arg, ['smoke'])}")
    config = base_config("rnn")
    config.model.update(layers=2, width=650, dropout=0.5, initialization=0.05)
    config.data.update(corpus="ptb", tokenizer="word", batching="stream", resets="none")
    config.data.update(batch_size=20, length=35)
    config.training.update(
        duration="39 epochs",
        optimizer="sgd",
        learning_rate=1.0,
        schedule="epoch_decay",
        decay_factor=1 / 1.2,
        decay_after="6 epochs",
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
