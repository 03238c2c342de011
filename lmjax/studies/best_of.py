"""How good the best of k trials is to be expected, by arm: what a search with a budget comes to.

The figures are those of Dodge et al. 2019 ("Show Your Work"), of the minimum in place of the
maximum: of k trials drawn, each on its own, from those that there were. That is above the truth for
many trials of few; what is drawn without replacement is not (Tang et al. 2020), and stands beside
it in the CSV.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from scipy.special import comb

from lmjax.runs.files import write_atomically
from lmjax.studies.plots import MUTED, STYLE, Curve, arm_look, label_ends, save_figure
from lmjax.studies.records import ArmRecord, StudyRecord
from lmjax.studies.tuned import first_trials

NAME = "expected_best_of_k"
OVER = {
    "grid": "points drawn from the grid",
    "random": "random trials",
    "successive_halving": "random trials of the first rung",
}  # Optuna's trials depend on those before them


@dataclass(frozen=True)
class BestOf:
    """The figure of a report."""

    svg: str
    caption: str


def expected_best(scores: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Of k = 1 to n of the n scores, with replacement, the mean lowest and its deviation."""
    scores_N = np.sort(scores)
    n = len(scores_N)
    k_K1 = np.arange(1, n + 1)[:, None]
    above_KN = (np.arange(n, -1, -1) / n) ** k_K1  # all k are at or above the i-th lowest
    weights_KN = above_KN[:, :-1] - above_KN[:, 1:]
    mean_K = weights_KN @ scores_N
    squares_KN = (scores_N - mean_K[:, None]) ** 2
    return mean_K, np.sqrt((weights_KN * squares_KN).sum(axis=1))


def unbiased_best(scores: Sequence[float]) -> np.ndarray:
    """The same mean without replacement: of any k of the n scores."""
    scores_N = np.sort(scores)
    n = len(scores_N)
    k_K1 = np.arange(1, n + 1)[:, None]
    return comb(n - 1 - np.arange(n), k_K1 - 1) / comb(n, k_K1) @ scores_N


def trial_scores(arm: ArmRecord) -> list[float]:
    """Of trials that do not depend on each other; one that diverged is as bad as the worst."""
    if not arm.tuning or arm.tuning["tuning"]["search"] not in OVER:
        return []
    scores = [trial["bits_per_byte"] for trial in first_trials(arm.tuning)]
    ended = [score for score in scores if score is not None]
    return [max(ended) if score is None else score for score in scores] if ended else []


def write_best_of(study: StudyRecord, folder: Path) -> BestOf | None:
    """Writes CSV, SVG and PNG of the curves; None if no arm has two trials or more."""
    scores = {arm.name: trial_scores(arm) for arm in study.arms}
    scores = {name: of_arm for name, of_arm in scores.items() if len(of_arm) > 1}
    if not scores:
        return None
    kinds = {arm.tuning["tuning"]["search"] for arm in study.arms if arm.name in scores}
    over = " or ".join(OVER[kind] for kind in sorted(kinds))
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / f"{NAME}.csv", to_csv(scores, over))
    with matplotlib.rc_context(STYLE):
        figure = draw(scores, over, [arm.name for arm in study.arms], study.loss)
        svg = save_figure(figure, folder / NAME)
    return BestOf(
        svg,
        f"The best of k {over} that is to be expected on validation, and a deviation to each side "
        "(Dodge et al. 2019). A trial that diverged counts as the worst of those that did not.",
    )


def to_csv(scores: dict[str, list[float]], over: str) -> str:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("arm", "over", "k", "expected_best", "deviation", "without_replacement"))
    for name, of_arm in scores.items():
        columns = zip(*expected_best(of_arm), unbiased_best(of_arm), strict=True)
        for k, figures in enumerate(columns, 1):
            rows.writerow((name, over, k, *map(repr, map(float, figures))))
    return text.getvalue()


def draw(scores: dict[str, list[float]], over: str, arms: Sequence[str], loss: str) -> Figure:
    """An arm's place among `arms` decides its look, as in the other plots."""
    figure = Figure(figsize=(4.3, 3.3))
    axes = figure.add_axes((0.1, 0.14, 0.62, 0.75))
    curves, looks = [], {}
    for name, of_arm in scores.items():
        mean_K, deviation_K = expected_best(of_arm)
        k_K = np.arange(1, len(of_arm) + 1)
        low_K = np.maximum(mean_K - deviation_K, min(of_arm))
        high_K = np.minimum(mean_K + deviation_K, max(of_arm))
        look = looks[name] = arm_look(arms.index(name))
        axes.plot(k_K, mean_K, marker="o", markersize=3.5, **look)
        axes.fill_between(k_K, low_K, high_K, color=look["color"], alpha=0.15, linewidth=0)
        curves.append(Curve(name, 1, k_K, mean_K, low_K, high_K))
    axes.set_xlabel(f"k, of {over}")
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    figure.text(0.0, 0.95, f"expected best validation {loss}", color=MUTED)
    label_ends(axes, curves, looks)
    return figure
