"""Which size of LSTM is best at a budget of training FLOPs, and by which power it grows.

Question  How should training FLOPs be spent on parameters and tokens, as they grow?
Command   lmjax study --study=experiments/ablations/isoflop.py --workdir=runs/isoflop
Tuning    every arm tries the same five learning rates, each on a fifth of its training.
Hardware  one CPU core, half an hour.
Expected  Hoffmann et al. (2022): for Transformers of 70 million parameters and more, the best size
          grows as the square root of the FLOPs. What is counted as a parameter changes exponents
          as small models have them, so they are told of all and of those without embeddings.
Differs   An LSTM, on bytes; budgets of a billionth of theirs, at which the text is read up to
          three times.

The report has the iso-FLOP curves. `:smoke` is three sizes at three budgets of some steps.
"""

import runpy
from pathlib import Path

from lmjax.studies.budgets import at_budgets
from lmjax.studies.study import Study

BASE = runpy.run_path(Path(__file__).with_name("base.py"))
BUDGETS, WIDTHS = (1e11, 3e11, 1e12), (24, 40, 64, 96, 144)
SHORT_BUDGETS, SHORT_WIDTHS = (1.2e9, 1.8e9, 2.6e9), (8, 12, 16)
FIELDS = {"data.corpus": "python_docs", "data.tokenizer": "byte", "training.duration": "1 epochs"}


def get_study(arg: str = "") -> Study:
    """Each of the WIDTHS at each of the BUDGETS."""
    is_short = "smoke" in arg.split(",")
    widths, budgets = (SHORT_WIDTHS, SHORT_BUDGETS) if is_short else (WIDTHS, BUDGETS)
    arms = [
        BASE["make_arm"](
            f"width {width}",
            "lstm",
            # The sum of a cell's inputs is as large as that of the base.
            {**FIELDS, "model.width": width, "model.initialization": 0.3 * (128 / width) ** 0.5},
        )
        for width in widths
    ]
    sized = at_budgets(arms, budgets)
    return BASE["make_study"](
        "isoflop",
        arg,
        question="How should training FLOPs be spent on parameters and tokens, as they grow?",
        arms=sized,
        baseline=sized[0].name,
        matched=(),
        scaling=True,
        prompt="The function returns",
    )
