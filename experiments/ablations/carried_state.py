"""Whether an LSTM carries its state from batch to batch in training, or begins each row anew.

Question  Is an LSTM better if its state is carried through training, with or without resets at
          random, than if each row begins with an empty one?
Command   lmjax study --study=experiments/ablations/carried_state.py --workdir=runs/carried
Tuning    every arm tries the same five learning rates, each on a fifth of its training.
Hardware  one CPU core, ten minutes.
Expected  No published number. Truncated back-propagation with a carried state is what Mikolov et
          al. (2010) and Zaremba et al. (2014) train by; Melis et al. (2018) drop it at random.
Differs   Arms are scored with the context that they can take in; `windows, read on` alone reads on
          in evaluation, though no row of its training was longer than 64 characters.

`:smoke` takes some steps of each arm.
"""

import runpy
from pathlib import Path

from lmjax.studies.study import Study

BASE = runpy.run_path(Path(__file__).with_name("base.py"))
WINDOWS = {"data.batching": "windows"}
ARMS = {
    "carried, random resets": {},
    "carried, no reset": {"data.resets": "none"},
    "windows": {
        **WINDOWS,
        "evaluation.context": "windowed",
        "evaluation.window": 64,
        "evaluation.stride": 32,
    },
    "windows, read on": WINDOWS,
}


def get_study(arg: str = "") -> Study:
    """The LSTM in four ways of reading the same text as often."""
    return BASE["make_study"](
        "carried_state",
        arg,
        question="Is an LSTM better if its state is carried through training?",
        arms=tuple(BASE["make_arm"](name, "lstm", fields) for name, fields in ARMS.items()),
        baseline="carried, random resets",
    )
