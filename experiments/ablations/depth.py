"""Depth against width, of an LSTM and a Transformer of equal parameters.

Question  Are few wide layers better than many narrow ones, with equal parameters?
Command   lmjax study --study=experiments/ablations/depth.py --workdir=runs/depth
Tuning    every arm tries the same five learning rates, each on a fifth of its training.
Hardware  one CPU core, half an hour.
Expected  The shape of a Transformer hardly matters beside its size (Kaplan et al. 2020, section
          3.1); nor does the depth of a well-tuned LSTM (Melis et al. 2018).
Differs   The sizes are a thousandth of theirs, and a width of four heads can't be wide.

`:smoke` takes some steps of each arm.
"""

import runpy
from pathlib import Path

from lmjax.studies.study import Study

BASE = runpy.run_path(Path(__file__).with_name("base.py"))
LAYERS = {"LSTM": (1, 2, 4), "Transformer": (1, 2, 4, 8)}
# Of a Transformer the width is solved for, with four times it in the feed-forward network, which
# makes up for what a width of four heads is too coarse for.
SIZES = {
    "LSTM": {"size_field": "model.width"},
    "Transformer": {
        "size_field": "model.width",
        "multiple_of": 4,
        "fine_field": "model.feed_forward_width",
    },
}


def get_study(arg: str = "") -> Study:
    """Both families in each number of layers."""
    return BASE["make_study"](
        "depth",
        arg,
        question="Are few wide layers better than many narrow ones?",
        arms=tuple(
            BASE["make_arm"](
                f"{name}, {layers}", name.lower(), {"model.layers": layers}, **SIZES[name]
            )
            for name, numbers in LAYERS.items()
            for layers in numbers
        ),
        baseline="LSTM, 1",
    )
