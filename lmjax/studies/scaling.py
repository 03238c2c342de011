"""Scaling laws: how the loss falls with parameters, training tokens and training FLOPs.

Two fits of Hoffmann et al. (2022): to the envelope of iso-FLOP curves (section 3.2) and of a
parametric loss (section 3.3). Intervals are of 95 %, by resampling residuals. Exponents depend on
which parameters are counted, so whoever shows them says which.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp, softmax

from lmjax.errors import UserError

CONFIDENCE = 0.95
HUBER_DELTA = 1e-3  # of the log of the loss, as in the paper; at the least, see `fit_parametric`
DELTA_DEVIATIONS = 1.345  # of the noise, at which Huber's loss is nearly as good as squares
MAD_TO_DEVIATION = 1.4826  # of a normal distribution's median absolute deviation
BEST_STARTS = 8  # of the grid, from which the parametric fit descends
SAME_BUDGET = 1.05  # FLOPs within this factor are one budget
LEAST_BUDGETS = LEAST_SIZES = 3
LARGEST_EXPONENT = 5.0
LEAST_SPARE = 3  # observations beyond what is fitted: of them, the noise is estimated
MOST_WITHOUT_MINIMUM = 0.05  # of resamples


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


@dataclass(frozen=True)
class ParametricLoss:
    """L(N, D) = E + A / N^alpha + B / D^beta."""

    irreducible: Estimate  # E
    parameters_factor: Estimate  # A
    tokens_factor: Estimate  # B
    alpha: Estimate
    beta: Estimate
    parameters_exponent: Estimate  # a = beta / (alpha + beta): the best N is of C^a for C ~ N D

    def loss_at(self, parameters: float, tokens: float) -> float:
        """The loss that the law gives."""
        by_size = self.parameters_factor.value / parameters**self.alpha.value
        by_text = self.tokens_factor.value / tokens**self.beta.value
        return self.irreducible.value + by_size + by_text


def by_budget(observations: Sequence[Observation]) -> list[list[Observation]]:
    """The observations of each budget of FLOPs, by rising budget."""
    groups: list[list[Observation]] = []
    for one in sorted(observations, key=lambda one: one.flops):
        if not groups or one.flops > SAME_BUDGET * groups[-1][0].flops:
            groups.append([])
        groups[-1].append(one)
    return groups


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
    _check_spare(spare, "parabolas")
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
        tuple(parabolas), _estimate(a, a_R), _estimate(b, b_R), parameters_factor, tokens_factor
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


def fit_parametric(
    observations: Sequence[Observation], resamples: int = 200, seed: int = 0
) -> ParametricLoss:
    """Fits L(N, D) by Huber's loss of its log, by L-BFGS from the best of a grid of starts.

    It is fitted again where the noise is found to be more than the paper's delta, which would make
    all residuals outliers: intervals would be too narrow.

    Raises UserError with fewer than three sizes, numbers of tokens or spare observations, and
    where these don't tell an exponent.
    """
    for what in ("parameters", "tokens"):
        # Tokens of one number of steps are equal, but for a match they may be a little apart.
        different = len({f"{getattr(one, what):.2g}" for one in observations})
        if different < LEAST_SIZES:
            raise UserError(
                f"runs of {different} numbers of {what}, and an exponent of them needs "
                f"{LEAST_SIZES}; train more"
            )
    spare = len(observations) - 5
    _check_spare(spare, "a parametric loss")
    law = _Law(observations)
    theta = law.fit(law.log_loss_N, law.best_starts())
    deviation = MAD_TO_DEVIATION * np.median(np.abs(law.log_loss_N - law.predict(theta)))
    law.delta = max(HUBER_DELTA, DELTA_DEVIATIONS * deviation)
    theta = law.fit(law.log_loss_N, [theta])
    fitted_N = law.predict(theta)
    noise_N = (law.log_loss_N - fitted_N) * np.sqrt(len(observations) / spare)
    random = np.random.default_rng(seed)
    drawn = [
        law.fit(fitted_N + random.choice(noise_N, len(noise_N)), [theta]) for _ in range(resamples)
    ]
    values_R = [law.values(each) for each in drawn]
    estimates = {
        name: _estimate(value, np.array([values[name] for values in values_R]))
        for name, value in law.values(theta).items()
    }
    for exponent, what in (("alpha", "parameters"), ("beta", "tokens")):
        if not 0 < estimates[exponent].low <= estimates[exponent].high < LARGEST_EXPONENT:
            raise UserError(
                f"the runs do not tell by which power of {what} the loss falls: "
                f"{estimates[exponent]}; train more, and more different, numbers of {what}"
            )
    return ParametricLoss(**estimates)


class _Law:
    """log L = logsumexp(e, a - alpha log N, b - beta log D), with logs from their means."""

    def __init__(self, observations: Sequence[Observation]):
        self.delta = HUBER_DELTA
        self.log_loss_N = np.log([one.loss for one in observations])
        log_NC = np.log([(one.parameters, one.tokens) for one in observations])
        self.centres = log_NC.mean(axis=0)
        self.x_N, self.z_N = (log_NC - self.centres).T

    def terms(self, theta: np.ndarray) -> np.ndarray:
        e, a, b, alpha, beta = theta
        return np.stack([np.full_like(self.x_N, e), a - alpha * self.x_N, b - beta * self.z_N])

    def predict(self, theta: np.ndarray) -> np.ndarray:
        return logsumexp(self.terms(theta), axis=0)

    def objective(self, theta: np.ndarray, log_loss_N: np.ndarray) -> tuple[float, np.ndarray]:
        """Huber's loss in units of delta squared, and its gradient."""
        terms_PN = self.terms(theta)
        residual_N = (logsumexp(terms_PN, axis=0) - log_loss_N) / self.delta
        size_N = np.abs(residual_N)
        value = np.where(size_N <= 1, residual_N**2 / 2, size_N - 0.5).sum()
        e_N, a_N, b_N = softmax(terms_PN, axis=0) * np.clip(residual_N, -1, 1) / self.delta
        gradient = (e_N, a_N, b_N, -a_N * self.x_N, -b_N * self.z_N)
        return float(value), np.array([part.sum() for part in gradient])

    def best_starts(self) -> list[np.ndarray]:
        """Of a grid of shares of the loss and exponents, those of the least objective."""
        least, typical = np.exp(self.log_loss_N.min()), np.exp(self.log_loss_N.mean())
        grid = [
            np.array(
                [
                    np.log(share * least),
                    np.log(part * (typical - share * least)),
                    np.log((1 - part) * (typical - share * least)),
                    alpha,
                    beta,
                ]
            )
            for share in (0.2, 0.5, 0.8, 0.95)
            for part in (0.2, 0.5, 0.8)
            for alpha in (0.1, 0.3, 0.6, 1.0)
            for beta in (0.1, 0.3, 0.6, 1.0)
        ]
        return sorted(grid, key=lambda theta: self.objective(theta, self.log_loss_N)[0])[
            :BEST_STARTS
        ]

    def fit(self, log_loss_N: np.ndarray, starts: Sequence[np.ndarray]) -> np.ndarray:
        found = [
            minimize(
                self.objective,
                start,
                args=(log_loss_N,),
                jac=True,
                method="L-BFGS-B",
                bounds=[(None, None)] * 3 + [(0.0, LARGEST_EXPONENT)] * 2,
                options={"maxiter": 2000, "maxfun": 4000, "ftol": 1e-12, "gtol": 1e-8},
            )
            for start in starts
        ]
        return min(found, key=lambda one: one.fun).x

    def values(self, theta: np.ndarray) -> dict[str, float]:
        e, a, b, alpha, beta = theta
        return {
            "irreducible": float(np.exp(e)),
            "parameters_factor": float(np.exp(a + alpha * self.centres[0])),
            "tokens_factor": float(np.exp(b + beta * self.centres[1])),
            "alpha": float(alpha),
            "beta": float(beta),
            "parameters_exponent": float(beta / (alpha + beta)),
        }


def _check_spare(spare: int, what: str) -> None:
    if spare < LEAST_SPARE:
        raise UserError(
            f"{LEAST_SPARE - spare} runs too few for {what} and what they vary by; train more "
            "sizes, budgets or seeds"
        )


def _estimate(value: float, resampled_R: np.ndarray) -> Estimate:
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(resampled_R, (tail, 100 - tail))
    return Estimate(value, float(low), float(high))
