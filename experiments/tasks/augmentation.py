"""Changes of the words of questions, of a tenth of TREC's training questions, one arm each.

Question  Which changes of the words of its questions help an LSTM that has 491 of them?
Claim     With 500 examples four changes are worth 3.0 points of accuracy, a mean over two models
          and five data sets, of which TREC is one (Wei and Zou 2019, table 2).
Command   lmjax train --config=experiments/word_vectors/wikitext2.py:skip_gram
          --workdir=runs/skip_gram
          lmjax vectors export --workdir=runs/skip_gram --output=runs/skip_gram.txt.gz
          lmjax study --study=experiments/tasks/augmentation.py --workdir=runs/augmentation
Tuning    every arm tries the same four learning rates, each on half of its training.
Hardware  one CPU core, four minutes, and as long for the vectors.
Measured  experiments/results/tasks.md.
Differs   A question is shown changed with a probability of a half, anew in each epoch, in place of
          copies that are made once. Near words are those of vectors, as in Wang and Yang (2015),
          and not WordNet's. `blank` is not theirs: it shows words as <unk> (Bowman et al. 2016).

`:few` leaves out the arms of near words, which need the vectors; `:few,smoke` takes some steps.
"""

import runpy
from pathlib import Path

from lmjax.studies.study import Study

STUDIES = runpy.run_path(Path(__file__).with_name("studies.py"))
VECTORS = "runs/skip_gram.txt.gz"
CHANGES = {
    "swap": ("swap=0.1",),
    "delete": ("delete=0.1",),
    "blank": ("blank=0.1",),
    "insert": ("insert=0.1",),
    "replace": ("replace=0.1",),
    "all of Wei and Zou": ("swap=0.1", "delete=0.1", "insert=0.1", "replace=0.1"),
}
FEW = ("swap", "delete", "blank")


def get_study(arg: str = "") -> Study:
    """The LSTM on questions as they are, and with each of the CHANGES; those of FEW in `few`."""
    names = FEW if "few" in arg.split(",") else tuple(CHANGES)
    arms = [STUDIES["make_arm"]("as they are", "lstm")]
    for name in names:
        fields = {"data.augmentation": CHANGES[name]}
        if {"insert", "replace"} & {change.partition("=")[0] for change in CHANGES[name]}:
            fields["data.augmentation_vectors"] = VECTORS
        arms.append(STUDIES["make_arm"](name, "lstm", fields))
    return STUDIES["make_study"](
        "augmentation",
        arg,
        {"few": {}},
        question="Which changes of the words of its questions help an LSTM that has 491 of them?",
        arms=tuple(arms),
        baseline="as they are",
    )
