"""From the name in `config.training.objective` to the function."""

from lmjax.errors import UserError, nearest
from lmjax.objectives.causal import causal
from lmjax.objectives.contract import Objective

OBJECTIVES: dict[str, Objective] = {"causal": causal}


def find_objective(name: str) -> Objective:
    """The objective of that name; raises UserError, with the nearest name, if there is none."""
    if name not in OBJECTIVES:
        raise UserError(f"unknown training.objective {name!r}: {nearest(name, OBJECTIVES)}")
    return OBJECTIVES[name]
