"""The envelope of iso-FLOP curves: the best size and tokens at each budget of training FLOPs.

Hoffmann et al. (2022), section 3.2.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lmjax.errors import UserError
from lmjax.studies.scaling import (
    LEAST_SIZES,
    Estimate,
    Observation,
    by_budget,
    check_spare,
    estimate,
)

LEAST_BUDGETS = 3
MOST_WITHOUT_MINIMUM = 0.05  # of resamples


@dataclass(frozen=True)
class Parabola:
    """The loss as a quadratic function of log N at one budget, and where it is least."""

    flops: float
    coefficients: tuple[float, float, float]  # of (log N)^2, log N and 1
    parameters: float  # N at the minimum
    tokens: float
    loss: float

    def loss_at(self, parameters_N: np.ndarray) -> np.ndarray:
        """`loss_N`."""
        return np.polyval(self.coefficients, np.log(parameters_N))


@dataclass(frozen=True)
class Envelope:
    """The best size and tokens at each budget: N = k C^a, D = k' C^b."""

    parabolas: tuple[Parabola, ...]  # by rising budget
    parameters_exponent: Estimate  # a
    tokens_exponent: Estimate  # b
    parameters_factor: float
    tokens_factor: float


def fit_envelope(
    observations: Sequence[Observation], resamples: int = 1000, seed: int = 0
) -> Envelope:
    """Fits a parabola to each budget, and power laws to their minima.

    Raises UserError with fewer than three budgets, sizes a budget or spare observations; for a
    budget whose minimum is not among its sizes; and where noise hides the minima.
    """
    groups = by_budget(observations)
    if len(groups) < LEAST_BUDGETS:
        raise UserError(
            f"runs of {len(groups)} budgets of FLOPs, and a power law of the best size needs "
            f"{LEAST_BUDGETS}; train more budgets"
        )
    for group in groups:
        if (sizes := len({one.parameters for one in group})) < LEAST_SIZES:
            raise UserError(
                f"{sizes} sizes at {group[0].flops:.3g} FLOPs, and a parabola needs {LEAST_SIZES}; "
                "train more sizes"
            )
    spare = len(observations) - 3 * len(groups)
    check_spare(spare, "parabolas")
    curves = [_Curve(group) for group in groups]
    parabolas = [curve.parabola(curve.loss_N) for curve in curves]
    for curve, parabola in zip(curves, parabolas, strict=True):
        curve.check_minimum(parabola)
    residuals = [
        curve.loss_N - parabola.loss_at(curve.parameters_N)
        for curve, parabola in zip(curves, parabolas, strict=True)
    ]
    # What is left of n residuals after a fit has the variance of the noise times spare / n.
    noise_N = np.concatenate(residuals) * np.sqrt(len(observations) / spare)
    random = np.random.default_rng(seed)
    exponents = []
    for _ in range(resamples):
        drawn = [
            curve.parabola(
                parabola.loss_at(curve.parameters_N) + random.choice(noise_N, len(curve.loss_N))
            )
            for curve, parabola in zip(curves, parabolas, strict=True)
        ]
        if all(curve.has_minimum(one) for curve, one in zip(curves, drawn, strict=True)):
            exponents.append((_power_law(drawn, "parameters")[0], _power_law(drawn, "tokens")[0]))
    if len(exponents) < (1 - MOST_WITHOUT_MINIMUM) * resamples:
        raise UserError(
            f"the noise of the runs hides the best sizes: in {resamples - len(exponents)} of "
            f"{resamples} resamples a budget has none among its sizes; train more seeds or sizes "
            "farther apart"
        )
    a, parameters_factor = _power_law(parabolas, "parameters")
    b, tokens_factor = _power_law(parabolas, "tokens")
    a_R, b_R = np.array(exponents).T
    return Envelope(
        tuple(parabolas), estimate(a, a_R), estimate(b, b_R), parameters_factor, tokens_factor
    )


class _Curve:
    """The observations of one budget."""

    def __init__(self, group: Sequence[Observation]):
        self.flops = float(np.mean([one.flops for one in group]))
        self.parameters_N = np.array([one.parameters for one in group], float)
        self.tokens_N = np.array([one.tokens for one in group], float)
        self.loss_N = np.array([one.loss for one in group], float)

    def parabola(self, loss_N: np.ndarray) -> Parabola:
        """The one nearest to these losses; what has no minimum is given an infinite one."""
        log_N = np.log(self.parameters_N)
        centre = log_N.mean()
        square, slope, constant = np.polyfit(log_N - centre, loss_N, 2)
        shift = -slope / (2 * square) if square > 0 else np.inf
        # C = c(N) N D, where c varies little: log D is interpolated.
        order = np.argsort(log_N)
        log_tokens = np.interp(centre + shift, log_N[order], np.log(self.tokens_N)[order])
        coefficients = (
            square,
            slope - 2 * square * centre,
            constant - slope * centre + square * centre**2,
        )
        return Parabola(
            flops=self.flops,
            coefficients=tuple(map(float, coefficients)),
            parameters=float(np.exp(centre + shift)),
            tokens=float(np.exp(log_tokens)),
            loss=float(constant + slope * shift / 2) if square > 0 else -np.inf,
        )

    def has_minimum(self, parabola: Parabola) -> bool:
        return self.parameters_N.min() <= parabola.parameters <= self.parameters_N.max()

    def check_minimum(self, parabola: Parabola) -> None:
        if self.has_minimum(parabola):
            return
        ends = f"{self.parameters_N.min():,.0f} to {self.parameters_N.max():,.0f} parameters"
        raise UserError(
            f"the loss at {self.flops:.3g} FLOPs has no minimum among the sizes of {ends}; train "
            "larger or smaller ones"
        )


def _power_law(parabolas: Sequence[Parabola], what: str) -> tuple[float, float]:
    """The exponent and the factor of what is best at a budget."""
    logs = [(np.log(one.flops), np.log(getattr(one, what))) for one in parabolas]
    exponent, constant = np.polyfit(*np.array(logs).T, 1)
    return float(exponent), float(np.exp(constant))
