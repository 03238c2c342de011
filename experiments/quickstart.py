"""Six families of language model on English text, with equal parameters and training tokens.

Question  Which family predicts the English of Python's documentation best, if all trained ones have
          the same number of parameters and read the same number of tokens?
Command   lmjax study --study=experiments/quickstart.py --workdir=runs/quickstart
Hardware  2 CPU cores, four minutes.
Expected  about these bits per byte (one seed, so a neighbour in the order proves nothing):
          n-gram of order 6: validation 2.00, test 1.63; GRU 2.15, 1.88; LSTM 2.33, 2.08;
          Elman 2.46, 2.20; Transformer 2.54, 2.30; LSTM with attention 2.76, 2.53.

Each model reads as many tokens as the training text has, which is little: counting wins.
The n-gram is counted: it has a size of its own, and its order is the one that validation prefers.
`:smoke` trains for three steps, so most of its one or two minutes is compilation.
"""

from ml_collections import ConfigDict

from lmjax.config import base_config
from lmjax.errors import UserError, nearest
from lmjax.studies.study import Arm, Study

ARMS = {
    "n-gram": ("ngram", {}),
    "Elman": ("rnn", {"cell": "elman", "layers": 1, "tied": True}),
    "GRU": ("rnn", {"cell": "gru", "layers": 1, "tied": True}),
    "LSTM": ("rnn", {"cell": "lstm", "layers": 1, "width": 144, "tied": True, "forget_bias": 1.0}),
    "LSTM with attention": (
        "attention_rnn",
        {"cell": "lstm", "layers": 1, "tied": True, "forget_bias": 1.0},
    ),
    "Transformer": ("transformer", {"layers": 4, "width": 80, "heads": 4, "context_length": 128}),
}
# Of the others: 1e-2.
LEARNING_RATES = {"Elman": 3e-3, "LSTM with attention": 4e-3, "Transformer": 4e-3}
ORDERS = (4, 5, 6)
SMOKE = {
    "training.duration": "3 steps",
    "evaluation.every": "3 steps",
    "logging.every": "1 steps",
}


def get_config(arg: str = "", arm: str = "LSTM") -> ConfigDict:
    """The configuration of an arm; raises UserError if `arg` is not `smoke` or empty."""
    if arg not in ("", "smoke"):
        raise UserError(f"quickstart has no variant {arg!r}: {nearest(arg, ['smoke'])}")
    model, fields = ARMS[arm]
    config = base_config(model)
    config.model.update(fields)
    config.data.update(corpus="python_docs", tokenizer="bpe", batch_size=16, length=64)
    config.training.update(
        duration="1 epochs",
        learning_rate=LEARNING_RATES.get(arm, 1e-2),
        warmup="5 percent",
        weight_decay=0.01,
        clip_norm=1.0,
    )
    config.logging.every = "10 percent"
    config.evaluation.every = "20 percent"
    config.checkpoint.every = "20 percent"
    config.evaluation.rows = 16
    if model == "transformer":
        # It can't carry its memory over the end of its context, so it reads windows.
        config.data.update(batching="windows", batch_size=8, length=128)
        config.evaluation.update(context="windowed", window=128, stride=64)
    if arg == "smoke":
        config.update_from_flattened_dict(SMOKE)
    return config


def get_study(arg: str = "") -> Study:
    """The six arms with one seed; a verdict takes three."""
    sizes = {"Transformer": "model.feed_forward_width"}
    choices = {"n-gram": {"model.order": ORDERS}}
    return Study(
        name="quickstart-smoke" if arg else "quickstart",
        question="Which of six families of language model predicts English text best, "
        "with equal parameters and equal training tokens?",
        arms=tuple(
            Arm(
                name,
                get_config(arg, name),
                size_field=sizes.get(name, "model.width"),
                choices=choices.get(name, {}),
            )
            for name in ARMS
        ),
        baseline="LSTM",
        prompt="The function returns",
    )
