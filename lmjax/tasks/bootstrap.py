"""How far a metric of these examples may be from that of others like them."""

import warnings
from collections.abc import Callable

import numpy as np

from lmjax.tasks.contract import Intervals

RESAMPLES = 1000
CONFIDENCE = 0.95
AT_ONCE = 20  # resamples whose places are in memory at a time


def bootstrap_intervals(
    size: int,
    statistics: Callable[[np.ndarray], dict[str, np.ndarray]],
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Intervals:
    """Percentile intervals of 95 % by a bootstrap over `size` examples (Efron 1979), by metric.

    `statistics` is given places of examples, `places_RN` of R resamples, and returns `values_R` by
    metric. None where a resample has no such number, and of fewer than two examples.
    """
    from scipy.stats import bootstrap  # it takes a third of a second to import

    names = list(statistics(np.arange(size)[None]))
    if size < 2:
        return dict.fromkeys(names)

    def values(places: np.ndarray, axis: int) -> np.ndarray:
        by_name = statistics(np.atleast_2d(places))
        values_CR = np.stack([by_name[name] for name in names])
        return values_CR if places.ndim > 1 else values_CR[:, 0]

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The BCa", RuntimeWarning)
        warnings.filterwarnings("ignore", "invalid value", RuntimeWarning)
        found = bootstrap(
            (np.arange(size),),
            values,
            n_resamples=resamples,
            batch=AT_ONCE,
            vectorized=True,
            confidence_level=CONFIDENCE,
            method="percentile",
            rng=np.random.default_rng(seed),
        ).confidence_interval
    return {
        name: (float(low), float(high)) if np.isfinite([low, high]).all() else None
        for name, low, high in zip(names, found.low, found.high, strict=True)
    }
