"""How the loss falls with the training text, of an LSTM and an n-gram.

Question  What is twice the text worth to an LSTM, and what to an n-gram?
Command   lmjax study --study=experiments/ablations/data_size.py --workdir=runs/data_size
Tuning    every LSTM tries the same five learning rates, each on a fifth of its training.
Hardware  one CPU core, 20 minutes.
Expected  Hestness et al. (2017), Kaplan et al. (2020), eq. 1.2: the loss falls as a power of
          the text that a large enough model was trained on. This one is not large.
Differs   All LSTMs have equal parameters and training tokens, so a smaller text is read more often;
          each is scored as it is best on validation.

The documentation of Python, which differs between its versions, is read in shares of an eighth to
all. `:smoke` takes some steps of each arm.
"""

import runpy
from pathlib import Path

from lmjax.studies.study import Study

BASE = runpy.run_path(Path(__file__).with_name("base.py"))
SHARES = {"1/8": 0.125, "1/4": 0.25, "1/2": 0.5, "all": 1.0}
FIELDS = {"data.corpus": "python_docs", "data.tokenizer": "byte"}
ORDERS = {"model.order": (5, 6, 7)}


def get_study(arg: str = "") -> Study:
    """An LSTM and an n-gram of each of the SHARES."""
    duration = {"training.duration": "2e6 tokens"}
    arms = []
    for name, share in SHARES.items():
        text = {**FIELDS, "data.train_share": share}
        arms.append(BASE["make_arm"](f"LSTM, {name}", "lstm", text | duration))
        arms.append(BASE["make_arm"](f"n-gram, {name}", "ngram", text, choices=ORDERS))
    return BASE["make_study"](
        "data_size",
        arg,
        question="What is twice the text worth to an LSTM, and what to an n-gram?",
        arms=tuple(arms),
        baseline="LSTM, all",
        texts_differ=True,
        prompt="The function returns",
    )
