"""Small models of one text, asked which of two sentences is English.

Question  Which family learns most of the grammar of English from two million words?
Command   lmjax study --study=experiments/tasks/blimp.py --workdir=runs/blimp
          lmjax evaluate --workdir=runs/blimp/arms/lstm/seed_0 --task=blimp
          and so for each arm.
Tuning    every trained arm tries the same three learning rates, each on a tenth of its training.
Hardware  one CPU core, an hour, with the scores.
Expected  far below the 69.8 % of an LSTM trained on some forty times as many words, and the 83.0 %
          of GPT-2 large; 5-grams of Gigaword have 61.2 % (the results that BLiMP's authors keep
          beside its data; `lmjax task inspect blimp`). Chance is 50 %.
Here      WikiText-2 without punctuation, which there is parted from words, and in BLiMP is not;
          byte pairs, so that no word is unknown. All arms have the LSTM's parameters and tokens.

`:smoke` takes some steps of each arm.
"""

import runpy
from pathlib import Path

from lmjax.studies.study import Study, Tuning

ABLATIONS = runpy.run_path(Path(__file__).parent.with_name("ablations") / "base.py")
ARMS = {"LSTM": "lstm", "Transformer": "transformer", "Mamba": "mamba", "5-grams": "ngram"}
TEXT = {
    "data.corpus": "wikitext2",
    "data.cleaning": ("punctuation", "whitespace"),
    "data.tokenizer": "bpe",
    "data.vocabulary_size": 4096,
    "evaluation.every": "50 percent",
}
BLOCKS = {"model.width": 160, "model.layers": 3, "model.heads": 4}
SIZES = {  # of which that of the LSTM holds, and others are solved for by their feed-forward width
    "lstm": {"model.width": 256},
    "transformer": BLOCKS,
    "mamba": BLOCKS,
    "ngram": {"model.order": 5, "model.smoothing": "modified_kneser_ney"},
}
TUNING = Tuning({"training.learning_rate": (1e-3, 3e-3, 1e-2)}, budget="10 percent")


def get_study(arg: str = "") -> Study:
    """The ARMS on the same text."""
    arms = []
    for name, family in ARMS.items():
        arms.append(ABLATIONS["make_arm"](name, family, TEXT | SIZES[family]))
    return ABLATIONS["make_study"](
        "blimp",
        arg,
        question="Which family learns most of the grammar of English from two million words?",
        arms=tuple(arms),
        baseline="LSTM",
        seeds=(0,),
        tuning=TUNING,
        prompt="The ",
    )
