"""Optimizers, of an LSTM and a Transformer.

Question  Which optimizer does an LSTM want, and which a Transformer, if each is tuned alike?
Command   lmjax study --study=experiments/ablations/optimizers.py --workdir=runs/optimizers
Tuning    every arm tries the same eight learning rates, each on a fifth of its training: from those
          that AdamW wants to those that SGD does.
Hardware  one CPU core, half an hour.
Expected  SGD set the records of LSTMs (Merity et al. 2018); in models with attention it falls
          behind adaptive optimizers, for the heavy tails of gradients (Zhang et al. 2020).
Differs   Two passes over a million characters are little, and the schedule is a cosine for all.

`:smoke` takes some steps of each arm.
"""

import runpy
from dataclasses import replace
from pathlib import Path

from lmjax.studies.study import Study

BASE = runpy.run_path(Path(__file__).with_name("base.py"))
FAMILIES = {"LSTM": "lstm", "Transformer": "transformer"}
OPTIMIZERS = {
    "AdamW": {},
    "Adagrad": {"training.optimizer": "adagrad"},
    "SGD": {"training.optimizer": "sgd"},
    "SGD with momentum": {"training.optimizer": "sgd", "training.momentum": 0.9},
}
RATES = (3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0, 3.0, 10.0)


def get_study(arg: str = "") -> Study:
    """Both families with each of the OPTIMIZERS."""
    return BASE["make_study"](
        "optimizers",
        arg,
        question="Which optimizer does an LSTM want, and which a Transformer?",
        arms=tuple(
            BASE["make_arm"](f"{name}, {optimizer}", family, fields)
            for name, family in FAMILIES.items()
            for optimizer, fields in OPTIMIZERS.items()
        ),
        baseline="LSTM, AdamW",
        tuning=replace(BASE["TUNING"], space={"training.learning_rate": RATES}),
    )
