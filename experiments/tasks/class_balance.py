"""Weights of labels, and smoothed ones, on a tenth of TREC's training questions.

Question  Does it help to weigh rare labels more, or to smooth all of them?
Command   lmjax study --study=experiments/tasks/class_balance.py --workdir=runs/class_balance
Tuning    every arm tries the same four learning rates, each on half of its training.
Hardware  one CPU core, two minutes.
Measured  experiments/results/tasks.md.
Expected  no published number to meet. Of the 5,452 questions 86 ask for an abbreviation, and 1,250
          for an entity: weights should tell in the macro F1, which each run has in its
          results.json, and in the recall of the rare label, which can be read in the report's
          confusion matrices (plots/confusion_1.csv for the first arm, ...), rather than in the
          accuracy.

`:smoke` takes some steps of each arm.
"""

import runpy
from pathlib import Path

from lmjax.studies.study import Study

STUDIES = runpy.run_path(Path(__file__).with_name("studies.py"))
ARMS = {
    "as they are": "lstm",
    "balanced": "lstm,balanced",
    "smoothed": "lstm,smoothed",
    "both": "lstm,balanced,smoothed",
}


def get_study(arg: str = "") -> Study:
    """The LSTM with each of the ARMS."""
    return STUDIES["make_study"](
        "class_balance",
        arg,
        question="Does it help to weigh rare labels more, or to smooth all of them?",
        arms=tuple(STUDIES["make_arm"](name, variants) for name, variants in ARMS.items()),
        baseline="as they are",
    )
