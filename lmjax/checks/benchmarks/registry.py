"""Every benchmark, by name."""

from lmjax.checks.benchmarks.contract import Case
from lmjax.checks.benchmarks.training import TRAINING_STEPS
from lmjax.errors import UserError, nearest

CASES = {case.name: case for case in TRAINING_STEPS}


def find_case(name: str) -> Case:
    """The case of that name; raises UserError if there is none."""
    if name not in CASES:
        raise UserError(f"unknown case {name!r}: {nearest(name, CASES)}")
    return CASES[name]
