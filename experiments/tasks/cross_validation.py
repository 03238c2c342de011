"""Families on five folds of TREC's training questions, of which a tenth is trained on.

Question  Which family tells a question's kind best, whichever questions it is trained on?
Command   lmjax study --study=experiments/tasks/cross_validation.py --workdir=runs/cross_validation
Tuning    every trained arm tries the same four learning rates on the first fold, each on half of
          its training; the bag of n-grams has the penalty that validation prefers.
Hardware  one CPU core, eleven minutes; a third of it with `:once`.
Measured  experiments/results/tasks.md.
Expected  no published number to meet.
Differs   Each run validates on a fold of 1,090 questions and trains on 436 of the others. Intervals
          take in that the folds' training texts overlap (Nadeau and Bengio 2003), as much as if
          all of the others were trained on: the tenths that are overlap less.

Three seeds of each fold; `:once` is one. `:smoke` takes some steps of each arm on each fold.
"""

import runpy
from pathlib import Path

from lmjax.studies.study import Study

STUDIES = runpy.run_path(Path(__file__).with_name("studies.py"))
FOLDS = 5
QUESTION = "Which family tells a question's kind best, whichever questions it is trained on?"


def get_study(arg: str = "") -> Study:
    """The FAMILIES and the bag of n-grams, each with three seeds of each fold."""
    make_arm, fields = STUDIES["make_arm"], {"data.folds": FOLDS}
    arms = [make_arm(name, variant, fields) for name, variant in STUDIES["FAMILIES"].items()]
    arms.append(make_arm("bag of n-grams", "bag_of_ngrams", fields, choices=STUDIES["PENALTIES"]))
    return STUDIES["make_study"](
        "cross_validation",
        arg,
        {"once": {"seeds": tuple(range(FOLDS))}},
        question=QUESTION,
        arms=tuple(arms),
        baseline="LSTM",
        seeds=tuple(range(3 * FOLDS)),
    )
