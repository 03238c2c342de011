"""A parametric loss of size and training tokens: Hoffmann et al. (2022), section 3.3."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from lmjax.errors import UserError
from lmjax.studies.scaling import LEAST_SIZES, Estimate, Observation, check_spare, estimate

HUBER_DELTA = 1e-3  # of the log of the loss, as in the paper; at the least, see `fit_parametric`
DELTA_DEVIATIONS = 1.345  # of the noise, at which Huber's loss is nearly as good as squares
MAD_TO_DEVIATION = 1.4826  # of a normal distribution's median absolute deviation
BEST_STARTS = 8  # of the grid, from which the parametric fit descends
LARGEST_EXPONENT = 5.0


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
    check_spare(spare, "a parametric loss")
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
        name: estimate(value, np.array([values[name] for values in values_R]))
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
        return self.logs_and_shares(theta)[0]

    def logs_and_shares(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of each observation the log of the loss, and its terms' shares of the loss."""
        terms_PN = self.terms(theta)
        most_N = terms_PN.max(axis=0)
        parts_PN = np.exp(terms_PN - most_N)
        total_N = parts_PN.sum(axis=0)
        return most_N + np.log(total_N), parts_PN / total_N

    def objective(self, theta: np.ndarray, log_loss_N: np.ndarray) -> tuple[float, np.ndarray]:
        """Huber's loss in units of delta squared, and its gradient."""
        predicted_N, shares_PN = self.logs_and_shares(theta)
        residual_N = (predicted_N - log_loss_N) / self.delta
        size_N = np.abs(residual_N)
        value = np.where(size_N <= 1, residual_N**2 / 2, size_N - 0.5).sum()
        e_N, a_N, b_N = shares_PN * np.clip(residual_N, -1, 1) / self.delta
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
