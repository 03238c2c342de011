"""Dropout by its rate and its place, in LSTMs that read a little text many times.

Question  How much of which dropout does an LSTM want that would else learn its text by heart, with
          equal parameters?
Command   lmjax study --study=experiments/ablations/dropout.py --workdir=runs/dropout
Tuning    every arm tries the same five learning rates, each on a fifth of its training.
Hardware  one CPU core, half an hour.
Expected  Zaremba et al. (2014) need it in large LSTMs, on the connections that are not recurrent,
          and not in small ones. No paper has these sizes and this text.
Differs   There are two places: what each layer and the softmax read, or the embeddings and what
          layers add to a residual stream. Missing are masks that stay the same over time (Gal and
          Ghahramani 2016), those on recurrent weights and whole embeddings (Merity et al. 2018),
          and zoneout (Krueger et al. 2017).

The text is a tenth of Python's documentation, read twelve times, and scored as it is best on
validation. `:smoke` takes some steps of each arm.
"""

import runpy
from pathlib import Path

from lmjax.studies.study import Study

BASE = runpy.run_path(Path(__file__).with_name("base.py"))
FAMILIES = {"stacked": "lstm", "residual": "recurrent"}
RATES = (0.0, 0.2, 0.4)
FIELDS = {
    "data.corpus": "python_docs",
    "data.tokenizer": "byte",
    "data.train_share": 0.1,
    "training.duration": "12 epochs",
    "model.layers": 2,
}


def get_study(arg: str = "") -> Study:
    """Each of the RATES in both places."""
    return BASE["make_study"](
        "dropout",
        arg,
        question="How much of which dropout does an LSTM want that reads a little text often?",
        arms=tuple(
            BASE["make_arm"](f"{place}, {rate}", family, {**FIELDS, "model.dropout": rate})
            for place, family in FAMILIES.items()
            for rate in RATES
        ),
        baseline="stacked, 0.0",
    )
