"""A forest plot: how far each arm of a study is from the baseline, with 95 % intervals."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from lmjax.runs.files import write_atomically
from lmjax.studies.comparisons import Comparison
from lmjax.studies.losses import BITS
from lmjax.studies.plots import INK, MUTED, STYLE, arm_look, save_figure

NAME = "beside_baseline"
COLUMNS = {
    "arm": lambda one: one.arm,
    "seeds": lambda one: one.seeds[0],
    "baseline_seeds": lambda one: one.seeds[1],
    "difference": lambda one: one.mean,
    "low": lambda one: _end(one, -1),
    "high": lambda one: _end(one, 1),
    "percent": lambda one: one.percent,
    "hedges_g": lambda one: one.hedges_g,
    "p": lambda one: one.p_value,
    "holm_p": lambda one: one.adjusted_p_value,
    "permuted_segments_p": lambda one: one.text_p_value,
    "permuted_seeds_p": lambda one: one.seeds_p_value,
    "permuted_seeds_p_at_best": lambda one: one.least_seeds_p_value,
    "finding": lambda one: one.finding,
}


def write_forest(
    comparisons: Sequence[Comparison],
    baseline: str,
    split: str,
    arms: Sequence[str],
    folder: Path,
    loss: str = BITS,
) -> str:
    """Writes CSV, SVG and PNG of the comparisons; returns the SVG, or nothing if there are none.

    An arm's place among `arms` decides its look, as in the other plots.
    """
    if not comparisons:
        return ""
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / f"{NAME}.csv", to_csv(comparisons, baseline, split))
    with matplotlib.rc_context(STYLE):
        return save_figure(draw(comparisons, baseline, split, arms, loss), folder / NAME)


def to_csv(comparisons: Sequence[Comparison], baseline: str, split: str) -> str:
    """All figures of the comparisons, in the study's loss; what there is not is left empty."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("baseline", "split", *COLUMNS))
    for one in comparisons:
        values = [value(one) for value in COLUMNS.values()]
        cells = ["" if value is None else value for value in values]
        rows.writerow((baseline, split, *cells))
    return text.getvalue()


def draw(
    comparisons: Sequence[Comparison],
    baseline: str,
    split: str,
    arms: Sequence[str],
    loss: str = BITS,
) -> Figure:
    """One row an arm, in the order of the comparisons; the baseline is the line at 0."""
    count = len(comparisons)
    figure = Figure(figsize=(6.4, 0.9 + 0.36 * count))
    margin = 0.62 / (0.9 + 0.36 * count)
    axes = figure.add_axes((0.2, margin, 0.58, 1 - 1.5 * margin))
    axes.axvline(0, color=MUTED, linewidth=1)
    for place, one in enumerate(comparisons):
        color = arm_look(arms.index(one.arm))["color"]
        if one.half_width is not None:
            axes.hlines(place, _end(one, -1), _end(one, 1), color=color)
        axes.plot(one.mean, place, marker="o", markersize=6, color=color)
        interval = "" if one.half_width is None else f" ± {one.half_width:.4f}"
        axes.text(
            1.03,
            place,
            f"{one.mean:+.4f}{interval}",
            transform=axes.get_yaxis_transform(),
            va="center",
            fontsize=9,
        )
    axes.set_yticks(range(count), [one.arm for one in comparisons], color=INK)
    axes.set_ylim(count - 0.5, -0.5)
    axes.margins(x=0.08)
    axes.grid(axis="y", visible=False)
    axes.grid(axis="x", visible=True)
    axes.locator_params(axis="x", nbins=6)
    axes.set_xlabel(f"{split} {loss} above {baseline}: left of the line is better")
    return figure


def _end(one: Comparison, side: int) -> float | None:
    return None if one.half_width is None else one.mean + side * one.half_width
