"""What the studies of this folder share: an LSTM on a tenth of TREC's questions, alone.

Question  How far apart are runs of one recipe that differ in their seed alone?
Command   lmjax study --study=experiments/tasks/studies.py --workdir=runs/trec_tenth
Tuning    every arm that is trained tries the same four learning rates, each on half of its
          training.
Hardware  one CPU core, three minutes.
Expected  no published number to meet.

`:smoke` takes some steps.
"""

import runpy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lmjax.studies.study import Arm, Study, Tuning

ABLATIONS = runpy.run_path(Path(__file__).parent.with_name("ablations") / "base.py")
TREC = runpy.run_path(Path(__file__).with_name("trec.py"))
FAMILIES = {  # arm: variant of trec.py, and of the like
    "LSTM": "lstm",
    "LSTM with attention pooling": "lstm_attention",
    "averaged vectors": "averaged",
    "Transformer": "transformer",
}
PENALTIES = {"model.inverse_penalty": (1.0, 10.0, 100.0)}  # of a bag of n-grams
TUNING = Tuning({"training.learning_rate": (3e-4, 1e-3, 3e-3, 1e-2)}, budget="50 percent")


def make_arm(name: str, variants: str, fields: Mapping[str, Any] | None = None, **others) -> Arm:
    """An arm of `trec.py:VARIANTS,tenth` with some fields changed, whose test the study reads.

    `others` are other fields of an Arm.
    """
    config = TREC["get_config"](f"{variants},tenth")
    config.evaluation.splits = ("validation",)
    config.data.source_length = 48  # words; no question has more than 37
    return Arm(name, config, **others).with_fields(fields or {})


def make_study(
    name: str, arg: str, variants: Mapping[str, Mapping[str, Any]] | None = None, **fields: Any
) -> Study:
    """A study with the seeds and the tuning that all have, as that of the ablations."""
    fields = {"matched": ("training_tokens",), "tuning": TUNING, **fields}
    return ABLATIONS["make_study"](name, arg, variants, **fields)


def get_study(arg: str = "") -> Study:
    """The LSTM alone."""
    return make_study(
        "trec_tenth",
        arg,
        question="How far apart are runs of one recipe that differ in their seed alone?",
        arms=(make_arm("LSTM", "lstm"),),
        baseline="LSTM",
    )
