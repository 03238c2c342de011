"""How a Transformer is told the places of tokens: by learned vectors, by sinusoids, or not at all.

Question  Does a causal Transformer need to be told where in its context a token stands, with equal
          parameters?
Command   lmjax study --study=experiments/ablations/positions.py --workdir=runs/positions
          lmjax study --study=experiments/ablations/positions.py:scores --workdir=runs/scores
Tuning    every arm tries the same five learning rates, each on a fifth of its training.
Hardware  one CPU core, ten minutes.
Expected  Vaswani et al. (2017) found learned and sinusoidal ones level; Haviv et al. (2022) found
          that a causal one without any is hardly worse. Here the first two are level, and none is
          worse by a third (experiments/results/studies.md): two layers are few to count with.
Differs   All of them are read in windows of 128 characters, far fewer than in these papers. Vectors
          of tokens begin at a tenth of the size of sinusoids, which Vaswani et al. make up for by a
          factor. `:scores` has learned vectors beside what scores are told instead: rotary
          positions (Su et al. 2021), ALiBi (Press et al. 2022) and a number for each bucket of
          distances (Raffel et al. 2020), here in each layer. It has not been run to its end.

`:smoke` takes some steps of each arm; likewise `:scores,smoke`.
"""

import runpy
from pathlib import Path

from lmjax.studies.study import Study

BASE = runpy.run_path(Path(__file__).with_name("base.py"))
POSITIONS = ("learned", "sinusoidal", "none")


def _arms(positions):
    return tuple(
        BASE["make_arm"](position, "transformer", {"model.position": position})
        for position in positions
    )


VARIANTS = {"scores": {"arms": _arms(("learned", "rotary", "alibi", "relative"))}}


def get_study(arg: str = "") -> Study:
    """The Transformer with each of the POSITIONS, or of those of `scores`."""
    return BASE["make_study"](
        "positions",
        arg,
        question="Does a causal Transformer need to be told where in its context a token stands?",
        variants=VARIANTS,
        arms=_arms(POSITIONS),
        baseline="learned",
    )
