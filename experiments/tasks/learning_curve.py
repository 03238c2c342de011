"""How the errors fall with the number of examples, of four families on TREC.

Question  What are twice the examples worth, and to which family?
Command   lmjax study --study=experiments/tasks/learning_curve.py --workdir=runs/learning_curve
Tuning    every trained arm tries the same four learning rates, each on half of its training; the
          bag of n-grams has the penalty that validation prefers.
Hardware  one CPU core, an hour and a half.
Expected  no published number to meet. Banko and Brill (2001) and Perlich et al. (2003): curves
          cross, and the simple model is ahead where examples are few.
Differs   All trained arms see 30,000 examples, so fewer ones are seen more often; each is scored as
          it is best on validation.

Shares of a twentieth (245 questions) to all (4,911). `:smoke` takes some steps of each arm.
"""

import runpy
from pathlib import Path

from lmjax.studies.study import Study

STUDIES = runpy.run_path(Path(__file__).with_name("studies.py"))
SHARES = {"1/20": 0.05, "1/10": 0.1, "1/4": 0.25, "1/2": 0.5, "all": 1.0}
FAMILIES = ("LSTM", "averaged vectors", "Transformer")
SEEN = {"training.duration": "30000 tokens", "evaluation.every": "10 percent"}


def get_study(arg: str = "") -> Study:
    """Each of the FAMILIES, and a bag of n-grams, with each of the SHARES."""
    arms = []
    for name, share in SHARES.items():
        text = {"data.train_share": share}
        for family in FAMILIES:
            variant = STUDIES["FAMILIES"][family]
            arms.append(STUDIES["make_arm"](f"{family}, {name}", variant, text | SEEN))
        choices = STUDIES["PENALTIES"]
        arms.append(
            STUDIES["make_arm"](f"bag of n-grams, {name}", "bag_of_ngrams", text, choices=choices)
        )
    return STUDIES["make_study"](
        "learning_curve",
        arg,
        question="What are twice the examples worth, and to which family?",
        arms=tuple(arms),
        baseline="LSTM, all",
        texts_differ=True,
    )
