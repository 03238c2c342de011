"""AWD-LSTM on the Penn Treebank, with one variant for each of its regularisers left out.

Claim     Validation / test perplexity (Merity, Keskar and Socher 2018): 60.7 / 58.8 after 500
          epochs, 60.0 / 57.3 after fine-tuning; 24 M parameters. By the authors' repository
          (salesforce/awd-lstm-lm) 61.2 / 58.8 and 58.8 / 56.5. With weight dropping, varied
          lengths, NT-ASGD, embedding dropout, AR and TAR left out one by one, all are worse.
Command   lmjax train --config=experiments/ptb/awd_lstm.py --workdir=runs/awd_lstm
          Fine-tuning (finetune.py: averaged from the start, from where the first run ended):
          lmjax train --config=experiments/ptb/awd_lstm.py:finetune --workdir=runs/awd_lstm_fine
          --config.training.initial_params=runs/awd_lstm
          Variants: small (200 and 400 units, 40 epochs); tenth (64 and 128 units, 40 epochs, the
          first tenth of the text, averaged after two epochs that are no better); no_weight_drop,
          no_locked (masks are drawn anew at each time), no_embedding_dropout, no_ar_tar, no_asgd,
          fixed_length; as in `small,no_asgd`.
          Each of them beside the recipe, on a tenth of the text, with the curves:
          lmjax study --study=experiments/ptb/awd_lstm.py --workdir=runs/awd_lstm_study
Rule      That of main.py there: SGD with a rate of 30, averaged
          from where validation has been worse than the best but for the last five epochs.
Hardware  2 CPU cores, by the processor seconds of a step: an epoch (681 steps) of `small` in three
          minutes, of the full size in a quarter of an hour. Not run here to its end.
Measured  On a tenth of the text, one seed: experiments/results/awd_lstm.md.
Differs   Gates have one bias in place of two; weight decay is on matrices alone; lengths are
          multiples of 5; validation and test are read in 10 rows, the authors' test in one.

`:smoke` is a tiny model with that recipe and 20 steps; likewise `:small,smoke`.
"""

from ml_collections import ConfigDict

from lmjax.config import base_config, with_variants
from lmjax.errors import UserError
from lmjax.studies.study import Arm, Study

VARIANTS = {
    "small": {
        "model.width": 400,
        "model.embedding_width": 200,
        "training.duration": "40 epochs",
    },
    "tenth": {
        "model.width": 128,
        "model.embedding_width": 64,
        "data.train_share": 0.1,
        "training.duration": "40 epochs",
        "training.averaging_patience": 2,
    },
    "no_weight_drop": {"model.weight_dropout": 0.0},
    "no_locked": {"model.locked": False},
    "no_embedding_dropout": {"model.embedding_dropout": 0.0},
    "no_ar_tar": {"model.activation_penalty": 0.0, "model.temporal_penalty": 0.0},
    "no_asgd": {"training.averaging": "none"},
    "fixed_length": {"data.length_deviation": 0.0},
    "finetune": {"training.averaging": "from_start", "evaluation.patience": 5},
    "smoke": {
        "model.width": 8,
        "model.embedding_width": 4,
        "training.duration": "20 steps",
        "evaluation.every": "20 steps",
        "checkpoint.every": "20 steps",
    },
}
# Arm of the study: what is left out.
ARMS = {
    "all of them": "",
    "no weight drop": "no_weight_drop",
    "other masks at each time": "no_locked",
    "no embedding dropout": "no_embedding_dropout",
    "no AR and TAR": "no_ar_tar",
    "no averaging": "no_asgd",
    "equal lengths": "fixed_length",
}


def get_config(arg: str = "") -> ConfigDict:
    """The full recipe with the VARIANTS in `arg`; raises UserError for another."""
    config = base_config("awd_rnn")
    config.model.update(layers=3, width=1150, embedding_width=400)
    config.model.update(dropout=0.4, input_dropout=0.4, layer_dropout=0.25, embedding_dropout=0.1)
    config.model.update(weight_dropout=0.5, activation_penalty=2.0, temporal_penalty=1.0)
    config.data.update(corpus="ptb", tokenizer="word", batching="stream", resets="none")
    config.data.update(batch_size=20, length=70, length_deviation=5.0)
    config.training.update(
        duration="500 epochs",
        optimizer="sgd",
        learning_rate=30.0,
        schedule="constant",
        averaging="triggered",
        averaging_patience=5,
        weight_decay=1.2e-6,
        clip_norm=0.25,
    )
    config.evaluation.update(every="1 epochs", context="carried", rows=10)
    config.evaluation.splits = ("validation", "test")
    config.checkpoint.every = "1 epochs"
    return with_variants(config, arg, VARIANTS)


def get_study(arg: str = "") -> Study:
    """The recipe on a tenth of the text, and without each of its regularisers; `smoke` is short."""
    if arg not in ("", "smoke"):
        raise UserError(f"the study has no variant {arg!r}; there is smoke alone")
    arms = []
    for name, variant in ARMS.items():
        config = get_config(",".join(filter(None, ("tenth", variant, arg))))
        config.evaluation.splits = ("validation",)  # the study reads the test once
        arms.append(Arm(name, config))
    return Study(
        name="awd_lstm",
        question="What is each regulariser of AWD-LSTM worth?",
        arms=tuple(arms),
        baseline="all of them",
        matched=(),  # all read the same epochs, in which equal lengths make one step more
        prompt="the company",
    )
