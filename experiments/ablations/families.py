"""Nine families of language model at equal parameters, or at equal training FLOPs.

Question  Which family predicts the characters of Shakespeare best, if all trained ones have the
          same number of parameters, read the same text as often and are tuned alike?
          `:flops` asks it of models of equal training FLOPs, which read the same text as often.
Command   lmjax study --study=experiments/ablations/families.py --workdir=runs/families
          lmjax study --study=experiments/ablations/families.py:flops --workdir=runs/families_flops
Tuning    every trained arm tries the same five learning rates, each on a fifth of its training;
          validation chooses. The scale of the initial weights is a family's own: see base.py.
Hardware  one CPU core, half an hour.
Expected  no published number to meet: no paper compares these nine alike at this size. Measured
          here: experiments/results/studies.md.
Differs   The n-gram is counted: it has a size of its own, and its order is the one that validation
          prefers.

`:smoke`, or `:flops,smoke`, takes some steps of each.
"""

import runpy
from pathlib import Path

from lmjax.studies.study import Study

BASE = runpy.run_path(Path(__file__).with_name("base.py"))
# Arm: its family in base.py.
ARMS = {
    "n-gram": "ngram",
    "Elman": "elman",
    "GRU": "gru",
    "LSTM": "lstm",
    "LSTM with attention": "attention_lstm",
    "Transformer": "transformer",
    "Sliding-window Transformer": "sliding_window",
    "Mamba": "mamba",
    "LSTM in the residual stream": "recurrent",
}
CHOICES = {"n-gram": {"model.order": (6, 7, 8)}}
VARIANTS = {"flops": {"matched": ("training_flops", "training_tokens")}}


def get_study(arg: str = "") -> Study:
    """The nine arms, matched by parameters or, in `flops`, by the FLOPs of their training."""
    return BASE["make_study"](
        "families",
        arg,
        VARIANTS,
        question="Which of nine families of language model predicts Shakespeare's characters best?",
        arms=tuple(
            BASE["make_arm"](name, family, choices=CHOICES.get(name, {}))
            for name, family in ARMS.items()
        ),
        baseline="LSTM",
    )
