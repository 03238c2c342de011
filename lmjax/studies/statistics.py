"""What several seeds allow one to say about arms: means, intervals, and whether one has won."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

LEAST_SEEDS = 3  # below this no verdict is drawn
SIGNIFICANCE = 0.05


@dataclass(frozen=True)
class Summary:
    """A mean over `n` seeds and half its 95 % interval (Student's t; None if n = 1)."""

    mean: float
    half_width: float | None
    n: int


@dataclass(frozen=True)
class Verdict:
    """Which arm is lowest, whether it may be called the winner, and the sentence that says so."""

    lowest: str | None
    winner: str | None
    text: str


def summarize(values: Sequence[float]) -> Summary:
    """Mean and interval of at least one value."""
    n = len(values)
    mean = float(np.mean(values))
    if n == 1:
        return Summary(mean, None, n)
    deviation = float(np.std(values, ddof=1))
    return Summary(mean, float(stats.t.ppf(0.975, n - 1)) * deviation / math.sqrt(n), n)


def paired_p_value(first: Mapping[int, float], second: Mapping[int, float]) -> float:
    """Two-sided p of a paired t-test over the seeds that both arms have.

    Keys are seeds. Differences that do not vary at all give 0 if they are not zero, else 1.
    """
    seeds = sorted(first.keys() & second.keys())
    differences = np.array([first[seed] - second[seed] for seed in seeds])
    if np.ptp(differences) == 0:
        return 0.0 if differences[0] else 1.0
    return float(stats.ttest_1samp(differences, 0.0).pvalue)


def verdict(scores: Mapping[str, Mapping[int, float]], metric: str) -> Verdict:
    """Judges arms by `scores[arm][seed]`, of which lower is better.

    The lowest mean wins only if a paired t-test against each other arm stays below SIGNIFICANCE
    after Bonferroni's correction for the number of rivals, with at least LEAST_SEEDS common seeds.
    """
    means = {arm: np.mean(list(values.values())) for arm, values in scores.items()}
    lowest = min(means, key=means.get)
    rivals = [arm for arm in scores if arm != lowest]
    if not rivals:
        return Verdict(lowest, None, f"{lowest} stands alone; there is nothing to compare it with.")
    shared = min(len(scores[lowest].keys() & scores[rival].keys()) for rival in rivals)
    figure = f"{lowest} has the lowest mean {metric} ({means[lowest]:.4f})"
    if shared < LEAST_SEEDS:
        return Verdict(
            lowest,
            None,
            f"n = {shared}: no verdict is drawn. {figure}, but at least {LEAST_SEEDS} seeds are "
            "needed to tell a difference between arms from one between seeds.",
        )
    p_values = {rival: paired_p_value(scores[lowest], scores[rival]) for rival in rivals}
    closest = max(p_values, key=p_values.get)
    corrected = min(1.0, p_values[closest] * len(rivals))
    test = (
        f"paired t-test over n = {shared} seeds, against {closest}: "
        f"p = {corrected:.2g} after Bonferroni's correction for {len(rivals)} rivals"
    )
    if corrected < SIGNIFICANCE:
        return Verdict(lowest, lowest, f"{figure} and wins ({test}).")
    return Verdict(lowest, None, f"{figure}, but no winner is marked ({test}).")
