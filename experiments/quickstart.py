"""Six families of language model on English text, with equal parameters, tokens and tuning.

Question  Which family predicts the English of Python's documentation best, if all trained ones have
          the same number of parameters, read the same text once and are tuned alike?
Command   lmjax study --study=experiments/quickstart.py --workdir=runs/quickstart
          `quickstart.py:seeds_3` is the same with seeds 3, 4 and 5 in place of 0, 1 and 2.
Tuning    every trained arm tries the same nine pairs of learning rate and initialization, each on a
          fifth of its training and with one seed; validation chooses. The scale of the initial
          weights is a family's own: half the width of a uniform draw for the recurrent ones, the
          deviation of a normal one for the Transformer. The recurrent arms choose the highest of
          both; beyond the grid, at a rate of 0.1 or an initialization of 0.6, LSTM, GRU and LSTM
          with attention were worse, and so was Elman at 0.1 or 1.0.
Hardware  2 CPU cores, five minutes.
Expected  bits per byte of test, mean of the three seeds and half of the 95 % interval over them:
          n-gram of order 6: 1.84; LSTM with attention 2.195 +- 0.007; GRU 2.199 +- 0.024;
          LSTM 2.229 +- 0.021; Elman 2.328 +- 0.030; Transformer 2.389 +- 0.011.
          With seeds 3, 4 and 5: 1.84, 2.191, 2.195, 2.229, 2.332, 2.387, in the same order; GRU and
          LSTM with attention are level. The text differs between versions of Python.

The n-gram is counted: it has a size of its own, and its order is the one that validation prefers.
All of them read every other document of the training text, which is little: counting wins.
`:smoke` trains for three steps, so most of its time is compilation.
"""

from ml_collections import ConfigDict

from lmjax.config import base_config
from lmjax.errors import UserError, nearest
from lmjax.studies.study import Arm, Study, Tuning

LSTM = {"cell": "lstm", "layers": 1, "width": 64, "tied": True, "forget_bias": 1.0}
ARMS = {
    "n-gram": ("ngram", {}),
    "Elman": ("rnn", {"cell": "elman", "layers": 1, "tied": True}),
    "GRU": ("rnn", {"cell": "gru", "layers": 1, "tied": True}),
    "LSTM": ("rnn", LSTM),
    "LSTM with attention": ("attention_rnn", {**LSTM, "score": "general", "span": 16}),
    "Transformer": ("transformer", {"layers": 2, "width": 48, "heads": 4, "context_length": 128}),
}
ORDERS = (4, 5, 6)
GRID = {
    "training.learning_rate": (3e-3, 1e-2, 3e-2),
    "model.initialization": (0.03, 0.1, 0.3),
}
SMOKE = {
    "training.duration": "3 steps",
    "evaluation.every": "3 steps",
    "logging.every": "1 steps",
}
# The seeds of each variant.
VARIANTS = {"": (0, 1, 2), "seeds_3": (3, 4, 5), "smoke": (0,)}


def get_config(arg: str = "", arm: str = "LSTM") -> ConfigDict:
    """The configuration of an arm; raises UserError for an `arg` that is not in VARIANTS."""
    if arg not in VARIANTS:
        raise UserError(f"quickstart has no variant {arg!r}: {nearest(arg, VARIANTS)}")
    model, fields = ARMS[arm]
    config = base_config(model)
    config.model.update(fields)
    config.data.update(
        corpus="python_docs", train_share=0.5, tokenizer="bpe", batch_size=8, length=64
    )
    config.training.update(
        duration="1 epochs",
        learning_rate=1e-2,
        warmup="5 percent",
        weight_decay=0.01,
        clip_norm=1.0,
    )
    config.logging.every = "10 percent"
    config.evaluation.every = "25 percent"
    config.checkpoint.every = "50 percent"
    config.evaluation.rows = 16
    if model == "transformer":
        # It can't carry its memory over the end of its context, so it reads windows.
        config.data.update(batching="windows", batch_size=4, length=128)
        config.evaluation.update(context="windowed", window=128, stride=64)
    if arg == "smoke":
        config.update_from_flattened_dict(SMOKE)
    return config


def get_study(arg: str = "") -> Study:
    """The six arms, every trained one tuned over GRID; over its first pair alone in `smoke`."""
    grid = {name: values[:1] for name, values in GRID.items()} if arg == "smoke" else GRID
    sizes = {"Transformer": "model.feed_forward_width"}
    choices = {"n-gram": {"model.order": ORDERS}}
    return Study(
        name=f"quickstart-{arg}" if arg else "quickstart",
        question="Which of six families of language model predicts English text best, "
        "with equal parameters, training tokens and tuning?",
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
        seeds=VARIANTS[arg],
        tuning=Tuning(grid, budget="20 percent"),
        prompt="The function returns",
    )
