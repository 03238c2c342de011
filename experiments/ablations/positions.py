"""How a Transformer is told the places of tokens: by learned vectors, by sinusoids, or not at all.

Question  Does a causal Transformer need to be told where in its context a token stands, with equal
          parameters?
Command   lmjax study --study=experiments/ablations/positions.py --workdir=runs/positions
Tuning    every arm tries the same five learning rates, each on a fifth of its training.
Hardware  one CPU core, ten minutes.
Expected  Vaswani et al. (2017) found learned and sinusoidal ones level; Haviv et al. (2022) found
          that a causal one without any is hardly worse. Here the first two are level, and none is
          worse by a third (experiments/results/studies.md): two layers are few to count with.
Differs   All of them are read in windows of 128 characters, far fewer than in these papers. Vectors
          of tokens begin at a tenth of the size of sinusoids, which Vaswani et al. make up for by a
          factor. Missing are rotary positions (Su et al. 2021), and biases of scores in a decoder
          of this kind.

`:smoke` takes some steps of each arm.
"""

import runpy
from pathlib import Path

from lmjax.studies.study import Study

BASE = runpy.run_path(Path(__file__).with_name("base.py"))
POSITIONS = ("learned", "sinusoidal", "none")


def get_study(arg: str = "") -> Study:
    """The Transformer with each of the POSITIONS."""
    return BASE["make_study"](
        "positions",
        arg,
        question="Does a causal Transformer need to be told where in its context a token stands?",
        arms=tuple(
            BASE["make_arm"](position, "transformer", {"model.position": position})
            for position in POSITIONS
        ),
        baseline="learned",
    )
