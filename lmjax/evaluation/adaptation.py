"""What adapts to a text while it is read: wrappers of any model's predictions of the targets.

They see no more than a model does, the targets before, and what they give are probabilities that
sum to one. Their parameters are chosen on validation; their scores stand apart from models' own.
"""

from dataclasses import dataclass

import numpy as np

LENGTHS = (50, 100, 200, 500, 1000, 2000, 5000)  # of a cache, in targets, that are tried
LARGEST_WEIGHT = 0.9


@dataclass(frozen=True)
class UnigramCache:
    """A cache of the last targets beside a model (Kuhn and De Mori 1990).

    p = (1 - weight) p_model + weight p_cache, where p_cache of a token is its share of the last
    `length` targets, or of all if there were fewer. The first target has the model's probability.
    """

    weight: float
    length: int  # targets

    @property
    def name(self) -> str:
        """What a context's name says of it."""
        return f"unigram_cache_{self.length}"

    def adapt(self, log_probs_N: np.ndarray, tokens_N: np.ndarray) -> np.ndarray:
        """`log_probs_N` of the targets `tokens_N` of a text, from those that a model gave them."""
        return mixed(log_probs_N, cached_probs(tokens_N, self.length), self.weight)


def cached_probs(tokens_N: np.ndarray, length: int) -> np.ndarray:
    """The share of each target among the `length` before it; NaN of the first."""
    places_N = np.arange(len(tokens_N), dtype=np.int64)
    before_N = np.minimum(places_N, length)
    # Sorted by token and then by place, so that those in reach are neighbours.
    keys_N = tokens_N.astype(np.int64) * len(tokens_N) + places_N
    sorted_N = np.sort(keys_N)
    seen_N = np.searchsorted(sorted_N, keys_N) - np.searchsorted(sorted_N, keys_N - before_N)
    with np.errstate(invalid="ignore"):
        return seen_N / before_N


def tune_cache(log_probs_N: np.ndarray, tokens_N: np.ndarray) -> tuple[UnigramCache, list[dict]]:
    """The cache that gives a validation text the fewest nats, and the best of each length tried.

    Of each of LENGTHS the best weight is found.
    """
    tried = [
        {"length": length, **best_weight(log_probs_N, cached_probs(tokens_N, length))}
        for length in LENGTHS
    ]
    best = min(tried, key=lambda trial: trial["total_nats"])
    return UnigramCache(best["weight"], best["length"]), tried


def best_weight(log_probs_N: np.ndarray, cached_N: np.ndarray) -> dict[str, float]:
    """The weight of a cache that leaves the fewest nats, and those; they are convex in it."""
    from scipy.optimize import minimize_scalar  # it takes a fifth of a second to import

    found = minimize_scalar(
        lambda weight: -mixed(log_probs_N, cached_N, weight).sum(),
        bounds=(0.0, LARGEST_WEIGHT),
        method="bounded",
        options={"xatol": 1e-4},
    )
    return {"weight": float(found.x), "total_nats": float(found.fun)}


def mixed(log_probs_N: np.ndarray, cached_N: np.ndarray, weight: float) -> np.ndarray:
    """`log_probs_N` of a model mixed with the probabilities of a cache; NaN: it has none yet."""
    with np.errstate(divide="ignore", invalid="ignore"):  # of what it has not seen; the first
        mixed_N = np.logaddexp(np.log1p(-weight) + log_probs_N, np.log(weight * cached_N))
    return np.where(np.isnan(cached_N), log_probs_N, mixed_N)
