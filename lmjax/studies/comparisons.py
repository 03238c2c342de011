"""Each arm of a study beside its baseline: the difference, its interval, tests and effect sizes.

**The p that counts** is that of Student's t on the difference of the means, uncertain by seeds and
by text (`statistics.difference`, which the verdict on the winner uses, too), corrected by Holm for
the number of arms. Its null: over other seeds and other texts like this one, the arm would on
average score as the baseline does. Only by it is an arm called better or worse, and only from
LEAST_SEEDS seeds on.

Two permutation tests assume less of how scores vary, and ask less. Over segments, the runs are
taken as they are: would *these* models differ on another text? Over seeds, the text is taken as it
is: would *other* seeds differ on it? With three seeds against three their p is at least 0.1, so
that they could never tell.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import special

from lmjax.studies.resampling import least_seeds_p_value, seeds_p_value, text_p_value
from lmjax.studies.statistics import (
    LEAST_SEEDS,
    SIGNIFICANCE,
    ArmScores,
    Difference,
    difference,
    paired_segments,
)


@dataclass(frozen=True)
class Comparison:
    """An arm beside the baseline; differences are in bits per byte, below 0 where it is better."""

    arm: str
    mean: float
    percent: float  # of the baseline's score
    half_width: float | None  # of the 95 % interval of `mean`; None: nothing tells
    p_value: float | None  # the one that counts, before and after Holm's correction
    adjusted_p_value: float | None
    text_p_value: float | None  # by permutation: runs as they are, and the text as it is
    seeds_p_value: float | None
    least_seeds_p_value: float | None  # what the last one could be at best
    hedges_g: float | None  # the difference in deviations over seeds
    seeds: tuple[int, int]  # of the arm and of the baseline
    is_judged: bool

    @property
    def finding(self) -> str:
        """What may be said of the arm: better, worse, not told apart, or not judged."""
        if not self.is_judged or self.adjusted_p_value is None:
            return "not judged"
        if self.adjusted_p_value >= SIGNIFICANCE:
            return "not told apart"
        return "better" if self.mean < 0 else "worse"


def compare_with(
    baseline: str, arms: Mapping[str, ArmScores], is_complete: bool = True
) -> list[Comparison]:
    """Every other arm that has a score beside the baseline, of which it must have one.

    Nothing is judged while the study is not complete.
    """
    found = [
        _compare(name, arm, arms[baseline], is_complete)
        for name, arm in arms.items()
        if name != baseline and arm.by_seed
    ]
    tested = [one for one in found if one.p_value is not None]
    adjusted = dict(
        zip((one.arm for one in tested), holm([one.p_value for one in tested]), strict=True)
    )
    return [replace(one, adjusted_p_value=adjusted.get(one.arm)) for one in found]


def signed_difference(arm: ArmScores, baseline: ArmScores) -> tuple[float, Difference]:
    """The difference of the means, and the same as of the higher one from the lower."""
    sign = 1 if arm.mean >= baseline.mean else -1
    found = difference(arm, baseline) if sign > 0 else difference(baseline, arm)
    return sign * found.mean, found


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's (1979) p values: of all that are below 0.05, none is false in 95 % of studies."""
    order = np.argsort(p_values, kind="stable")
    factors = len(p_values) - np.arange(len(p_values))
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.maximum.accumulate(np.asarray(p_values, float)[order] * factors)
    return np.minimum(adjusted, 1.0).tolist()


def hedges_g(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Difference in pooled deviations, of both at least two values, with Hedges' (1981) exact
    correction for few values; None where nothing varies."""
    if min(len(first), len(second)) < 2:
        return None
    degrees = len(first) + len(second) - 2
    squares = sum(np.var(values, ddof=1) * (len(values) - 1) for values in (first, second))
    if not squares:
        return None
    deviation = math.sqrt(squares / degrees)
    log_correction = special.gammaln(degrees / 2) - special.gammaln((degrees - 1) / 2)
    correction = math.exp(log_correction) / math.sqrt(degrees / 2)
    return float(correction * (np.mean(first) - np.mean(second)) / deviation)


def _compare(name: str, arm: ArmScores, baseline: ArmScores, is_complete: bool) -> Comparison:
    mean, found = signed_difference(arm, baseline)
    seeds = len(arm.by_seed), len(baseline.by_seed)
    drawn = [one for one in (arm, baseline) if not one.is_counted]
    is_judged = is_complete and all(len(one.by_seed) >= LEAST_SEEDS for one in drawn)
    # One seed of an arm that draws at random tells nothing of how it varies.
    is_known = bool(found.standard_error) and all(len(one.by_seed) > 1 for one in drawn)
    values = [list(one.by_seed.values()) for one in (arm, baseline)]
    over_seeds = len(drawn) == 2 and min(seeds) > 1 and not arm.folds
    bytes_G = paired_segments(arm, baseline)
    return Comparison(
        arm=name,
        mean=mean,
        percent=100 * mean / baseline.mean,
        half_width=found.half_width if is_known else None,
        p_value=found.p_value if is_known and is_judged else None,
        adjusted_p_value=None,
        text_p_value=None if bytes_G is None else _text_p_value(arm, baseline),
        seeds_p_value=seeds_p_value(*values) if over_seeds else None,
        least_seeds_p_value=least_seeds_p_value(*seeds) if over_seeds else None,
        hedges_g=hedges_g(*values) if over_seeds else None,
        seeds=seeds,
        is_judged=is_judged,
    )


def _text_p_value(arm: ArmScores, baseline: ArmScores) -> float:
    means = [one.segments.bits_SG.mean(axis=0) for one in (arm, baseline)]
    return text_p_value(means[0] - means[1])
