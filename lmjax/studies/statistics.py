"""What a study allows one to say of its arms: means, intervals, and whether one has won.

A difference between two arms is uncertain for two reasons: other seeds would have given other
models, and another text other scores. Its standard error is a bootstrap's over both at once, or of
seeds alone where the text is not known by segments. The interval is Student's t, with the degrees
of freedom of Welch and Satterthwaite, so that few seeds make it wide and arms may vary differently.

Assumed: scores vary normally over seeds, seeds of two arms are independent or, where a seed acts
alike on both, go up and down together (the test is then too careful), and segments are independent.
With heavy tails less is said than could be: false statements have rates of 0.022 to 0.039 then, not
of 0.05 (experiments/results/verdict.md).
`python -m lmjax.studies.simulation` measures how often what is said is false.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy import stats

from lmjax.studies.resampling import bootstrap_errors

LEAST_SEEDS = 3  # below this no verdict is drawn
LEAST_SEGMENTS = 5  # of a text, to tell how much another text would change
SIGNIFICANCE = 0.05
RESOLUTION = 1e-4  # a smaller difference is one of rounding, and of no use to anyone


@dataclass(frozen=True)
class Summary:
    """A mean over `n` seeds and half its 95 % interval (Student's t; None if n = 1)."""

    mean: float
    half_width: float | None
    n: int


@dataclass(frozen=True)
class SegmentBits:
    """An arm's bits of each segment of a text by seed, and the bytes that they are divided by.

    Where arms are compared by errors, those are in the place of bits, and labels in that of bytes.
    """

    bits_SG: np.ndarray
    bytes_G: np.ndarray


@dataclass(frozen=True)
class ArmScores:
    """Bits per byte of an arm by seed, and its bits of the segments of the text, seeds in order.

    A counted arm draws nothing at random: its one run has no variance over seeds. Where a corpus is
    in `folds`, they take the place of seeds.
    """

    by_seed: Mapping[int, float]
    segments: SegmentBits | None = None
    is_counted: bool = False
    folds: int = 0

    @property
    def unit(self) -> str:
        """What scores are by."""
        return "fold" if self.folds else "seed"

    @property
    def mean(self) -> float:
        return float(np.mean(list(self.by_seed.values())))


@dataclass(frozen=True)
class Difference:
    """By how much a score is higher than another, in the mean, and how sure that is."""

    mean: float
    standard_error: float  # 0: nothing varies, so nothing can be told
    degrees_of_freedom: float

    @property
    def half_width(self) -> float:
        """Half of the 95 % interval."""
        return float(stats.t.ppf(0.975, self.degrees_of_freedom)) * self.standard_error

    @property
    def p_value(self) -> float:
        """One-sided p of "not higher", doubled: either of two arms could have been the lower."""
        if self.mean < RESOLUTION or not self.standard_error:
            return 1.0
        return 2 * float(stats.t.sf(self.mean / self.standard_error, self.degrees_of_freedom))

    def p_value_among(self, arms: int) -> float:
        """The p of Games and Howell (1976): of all pairs of so many arms at once."""
        if self.mean < RESOLUTION or not self.standard_error:
            return 1.0
        range_ = math.sqrt(2) * self.mean / self.standard_error
        return float(stats.studentized_range.sf(range_, arms, self.degrees_of_freedom))


@dataclass(frozen=True)
class Verdict:
    """Which arm is lowest, whether it may be called the winner, and the sentence that says so.

    `worse` are the arms of which it may be said that the lowest is better.
    """

    lowest: str | None
    winner: str | None
    text: str
    worse: tuple[str, ...] = ()


def summarize(values: Sequence[float]) -> Summary:
    """Mean and interval of at least one value."""
    n = len(values)
    mean = float(np.mean(values))
    if n == 1:
        return Summary(mean, None, n)
    deviation = float(np.std(values, ddof=1))
    return Summary(mean, float(stats.t.ppf(0.975, n - 1)) * deviation / math.sqrt(n), n)


def text_half_width(segments: SegmentBits) -> float | None:
    """Half of the 95 % interval of bits per byte over texts; None for too few segments."""
    count = len(segments.bytes_G)
    if count < LEAST_SEGMENTS:
        return None
    _, error = bootstrap_errors([segments.bits_SG], segments.bytes_G)
    return float(stats.t.ppf(0.975, count - 1)) * error


def paired_segments(first: ArmScores, second: ArmScores) -> np.ndarray | None:
    """The bytes of the segments that two arms share; None unless they are the same, and enough."""
    ours, theirs = first.segments, second.segments
    if ours is None or theirs is None or not np.array_equal(ours.bytes_G, theirs.bytes_G):
        return None
    return ours.bytes_G if len(ours.bytes_G) >= LEAST_SEGMENTS else None


def difference(higher: ArmScores, lower: ArmScores) -> Difference:
    """The difference of two arms' means, uncertain by the seeds of each and by the text."""
    if higher.folds:
        return _difference_over_folds(higher, lower)
    parts = []  # a variance and its degrees of freedom
    for arm in (higher, lower):
        if len(arm.by_seed) > 1:
            values = list(arm.by_seed.values())
            parts.append((np.var(values, ddof=1) / len(values), len(values) - 1))
    bytes_G = paired_segments(higher, lower)
    error = math.sqrt(sum(part for part, _ in parts))
    if bytes_G is not None:
        arms_SG = [higher.segments.bits_SG, lower.segments.bits_SG]
        error, over_text = bootstrap_errors(arms_SG, bytes_G)
        parts.append((over_text**2, len(bytes_G) - 1))
    return Difference(higher.mean - lower.mean, error, _degrees_of_freedom(parts))


def _difference_over_folds(higher: ArmScores, lower: ArmScores) -> Difference:
    """The mean difference within folds, on the same of which both arms were trained and scored.

    Training texts of folds overlap, so that their scores vary together: the variance of the mean is
    (1/k + 1/(k - 1)) times that over the folds (Nadeau and Bengio 2003). Theirs is 1/k plus the
    ratio of test to training texts, which is 1/(k - 1) where all other folds are trained on; of a
    share of them it is more, although their training texts overlap less.
    """
    folds = sorted(higher.by_seed.keys() & lower.by_seed.keys())
    if not folds:
        return Difference(higher.mean - lower.mean, 0.0, 1.0)
    differences = [higher.by_seed[fold] - lower.by_seed[fold] for fold in folds]
    parts = []
    if len(folds) > 1:
        share = 1 / len(folds) + 1 / (higher.folds - 1)
        parts.append((np.var(differences, ddof=1) * share, len(folds) - 1))
    if (bytes_G := paired_segments(higher, lower)) is not None:
        arms_SG = [higher.segments.bits_SG, lower.segments.bits_SG]
        parts.append((bootstrap_errors(arms_SG, bytes_G)[1] ** 2, len(bytes_G) - 1))
    error = math.sqrt(sum(part for part, _ in parts))
    return Difference(float(np.mean(differences)), error, _degrees_of_freedom(parts))


def _degrees_of_freedom(parts: Sequence[tuple[float, int]]) -> float:
    """Welch's and Satterthwaite's, of a sum of variances with each its own; 1 if nothing varies."""
    doubt = sum(part**2 / degrees for part, degrees in parts)
    return float(sum(part for part, _ in parts) ** 2 / doubt) if doubt else 1.0


def verdict(arms: Mapping[str, ArmScores], metric: str, seeds: Collection[int] = ()) -> Verdict:
    """Judges arms by their scores, of which lower is better; `seeds` are those that were asked for.

    The lowest mean wins if it is better than each rival at SIGNIFICANCE. Since all must hold, no
    correction is due: a false winner is likeliest where two arms share the best place (Gutmann and
    Maymin 1987). Where it doesn't win, the arms are named that it is better than, by a test of all
    pairs at once. No verdict is drawn while an arm lacks a seed, or with fewer than LEAST_SEEDS.
    """
    seeds = sorted(set(seeds).union(*(arm.by_seed for arm in arms.values() if not arm.is_counted)))
    if missing := missing_results(arms, seeds):
        return Verdict(None, None, f"No verdict is drawn while {' and '.join(missing)}.")
    lowest = min(arms, key=lambda name: arms[name].mean)
    rivals = [name for name in arms if name != lowest]
    if not rivals:
        return Verdict(lowest, None, f"{lowest} stands alone; there is nothing to compare it with.")
    figure = f"{lowest} has the lowest mean {metric} ({arms[lowest].mean:.4f})"
    is_drawn = not all(arm.is_counted for arm in arms.values())
    unit = arms[lowest].unit
    if is_drawn and len(seeds) < LEAST_SEEDS:
        return Verdict(
            lowest,
            None,
            f"n = {len(seeds)}: no verdict is drawn. {figure}, but at least {LEAST_SEEDS} {unit}s "
            f"are needed to tell a difference between arms from one between {unit}s.",
        )
    differences = {name: difference(arms[name], arms[lowest]) for name in rivals}
    next_ = min(rivals, key=lambda name: differences[name].mean)
    unsurest = max(rivals, key=lambda name: (differences[name].p_value, name == next_))
    told = partial(_test, lowest, arms, differences, len(seeds))
    if differences[unsurest].p_value < SIGNIFICANCE:
        largest = "" if unsurest == next_ else f"; {told(unsurest)}"
        return Verdict(lowest, lowest, f"{figure} and wins: {told(next_)}{largest}.", tuple(rivals))
    worse = tuple(name for name in rivals if _is_told_apart(differences[name], len(arms)))
    better = f" It is better than {', '.join(worse)} (Games and Howell's test)." if worse else ""
    text = f"{figure}, but no winner is marked: {told(unsurest)}.{better}"
    return Verdict(lowest, None, text, worse)


def _is_told_apart(found: Difference, arms: int) -> bool:
    """Whether the p among all pairs is significant; where its bounds tell, they spare the time."""
    if found.p_value >= SIGNIFICANCE:
        return False
    if math.comb(arms, 2) * found.p_value < SIGNIFICANCE:
        return True
    return found.p_value_among(arms) < SIGNIFICANCE


def missing_results(arms: Mapping[str, ArmScores], seeds: Sequence[int]) -> list[str]:
    """What lacks results of which of the seeds, in words."""
    missing = []
    for name, arm in arms.items():
        lacking = [seed for seed in seeds if seed not in arm.by_seed]
        if not arm.by_seed:
            missing.append(f"{name} has no result")
        elif lacking and not arm.is_counted:
            noun = arm.unit if len(lacking) == 1 else f"{arm.unit}s"
            missing.append(f"{name} has no result of {noun} {', '.join(map(str, lacking))}")
    return missing


def _test(
    lower: str,
    arms: Mapping[str, ArmScores],
    differences: Mapping[str, Difference],
    seeds: int,
    higher: str,
) -> str:
    """How a rival compares with the lowest arm, and over what that is known."""
    found = differences[higher]
    drawn = [name for name in (higher, lower) if not arms[name].is_counted]
    bytes_G = paired_segments(arms[higher], arms[lower])
    test = "the corrected resampled t" if arms[lower].folds else "Welch's t"
    over = []
    if drawn:
        over.append(
            f"n = {seeds} {arms[lower].unit}s" + (f" of {drawn[0]}" if len(drawn) == 1 else "")
        )
    if bytes_G is not None:
        over.append(f"{len(bytes_G)} segments of the text")
    elif not arms[lower].folds:
        over.append("no text but this one")
    if not found.standard_error:
        return (
            f"{higher} is {found.mean:.4g} above it, and nothing tells how sure that is: no "
            f"{arms[lower].unit}s that differ, nor {LEAST_SEGMENTS} segments of the text"
        )
    return (
        f"{higher} is {found.mean:.4f} ± {found.half_width:.4f} above it "
        f"(95 % interval of {test} over {' and '.join(over)}; p = {found.p_value:.2g})"
    )
