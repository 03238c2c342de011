"""How far back an LSTM has to look, in the key-value-predict attention of Daniluk et al. (2017).

Question  Does attention over the last outputs of an LSTM help it, and does it matter over how many,
          with equal parameters?
Command   lmjax study --study=experiments/ablations/attention_span.py --workdir=runs/span
Tuning    every arm tries the same five learning rates, each on a fifth of its training.
Hardware  one CPU core, a quarter of an hour.
Expected  Daniluk et al., "Frustratingly Short Attention Spans": attention helps, and spans beyond
          the last five outputs hardly do.
Differs   The paper has the words of 7,500 articles of Wikipedia; here are characters of Shakespeare
          and a much smaller LSTM. Output weights are not the embedding's, since they read a third
          of the LSTM's width.

`:smoke` takes some steps of each arm.
"""

import runpy
from pathlib import Path

from lmjax.studies.study import Study

BASE = runpy.run_path(Path(__file__).with_name("base.py"))
SPANS = (1, 5, 10, 15)


def get_study(arg: str = "") -> Study:
    """The LSTM without attention, and with each of the SPANS."""
    sizes = {"size_field": "model.width", "fine_field": "model.embedding_width"}
    untied = {"model.tied": False, "model.embedding_width": 64}
    predicts = {**untied, "model.score": "key_value_predict", "model.width": 120}
    spans = (
        BASE["make_arm"](
            f"span {span}",
            "attention_lstm",
            {**predicts, "model.span": span},
            multiple_of=3,
            **sizes,
        )
        for span in SPANS
    )
    return BASE["make_study"](
        "attention_span",
        arg,
        question="How many of its last outputs does an LSTM profit from attending to?",
        arms=(BASE["make_arm"]("no attention", "lstm", untied, **sizes), *spans),
        baseline="no attention",
    )
