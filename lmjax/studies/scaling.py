"""Scaling laws: how the loss falls with parameters, training tokens and training FLOPs.

Two fits of Hoffmann et al. (2022) are beside this: to the envelope of iso-FLOP curves (section 3.2)
and of a parametric loss (section 3.3). Intervals are of 95 %, by resampling residuals. Exponents
depend on which parameters are counted, so whoever shows them says which.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lmjax.errors import UserError

CONFIDENCE = 0.95
SAME_BUDGET = 1.05  # FLOPs within this factor are one budget
LEAST_SIZES = 3
LEAST_SPARE = 3  # observations beyond what is fitted: of them, the noise is estimated


@dataclass(frozen=True)
class Observation:
    """One finished run."""

    parameters: float
    tokens: float
    flops: float
    loss: float


@dataclass(frozen=True)
class Estimate:
    """A number and the ends of its interval."""

    value: float
    low: float
    high: float

    def __str__(self):
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def by_budget(observations: Sequence[Observation]) -> list[list[Observation]]:
    """The observations of each budget of FLOPs, by rising budget."""
    groups: list[list[Observation]] = []
    for one in sorted(observations, key=lambda one: one.flops):
        if not groups or one.flops > SAME_BUDGET * groups[-1][0].flops:
            groups.append([])
        groups[-1].append(one)
    return groups


def check_spare(spare: int, what: str) -> None:
    """Raises UserError for too few runs beyond what is fitted to them."""
    if spare < LEAST_SPARE:
        raise UserError(
            f"{LEAST_SPARE - spare} runs too few for {what} and what they vary by; train more "
            "sizes, budgets or seeds"
        )


def estimate(value: float, resampled_R: np.ndarray) -> Estimate:
    """The value with the interval that resampling gives it."""
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(resampled_R, (tail, 100 - tail))
    return Estimate(value, float(low), float(high))
