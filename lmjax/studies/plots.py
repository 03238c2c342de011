"""Learning curves of a study: drawn as SVG and PNG beside the CSV that they are drawn from."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, FuncFormatter, MaxNLocator, MultipleLocator

from lmjax.runs.files import write_atomically
from lmjax.studies.losses import BITS, loss_of
from lmjax.studies.records import ArmRecord
from lmjax.studies.statistics import LEAST_SEEDS, summarize

AXES = {
    "tokens": "training tokens",
    "flops": "training FLOPs",
    "seconds": "training seconds",
}

# Okabe and Ito 2008, without yellow: told apart by people who see colours differently.
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
DASHES = ("solid", "dashed", "dotted")  # the palette's first, second and third time round
PAPER, INK, MUTED, GRID = "#ffffff", "#202124", "#5f6368", "#dadce0"
STYLE = {
    "font.size": 10,
    "text.parse_math": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "lmjax",
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": GRID,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "ytick.major.size": 0,
    "lines.linewidth": 2,
}
LABEL_GAP = 0.075  # of the axes' height, between two labels


@dataclass(frozen=True)
class Curve:
    """Validation loss in the course of training: a mean over seeds and its 95 % interval.

    The interval is Student's t, as in the tables; with one seed its ends are the mean. A counted
    arm has no course of training: its one value holds throughout.
    """

    arm: str
    seeds: int
    x: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    is_level: bool = False


def read_curve(arm: ArmRecord, axis: str) -> Curve | None:
    """An arm's curve against `tokens`, `flops` or `seconds`; None if nothing was scored.

    With several seeds it has the steps that all of them have; what is on the axis is averaged too.
    """
    scores = arm.scores("validation")
    if scores and arm.is_counted:
        values = np.array([[loss_of(score)] for score in scores.values()])
        places = np.zeros_like(values)
    else:
        courses = [_course(run.metrics, axis) for run in arm.runs]
        courses = [course for course in courses if course]
        steps = sorted(set.intersection(*map(set, courses))) if courses else []
        if not steps:
            return None
        places, values = np.moveaxis(
            [[course[step] for step in steps] for course in courses], -1, 0
        )
    summaries = [summarize(column) for column in values.T]
    mean = np.array([summary.mean for summary in summaries])
    half_width = np.array([summary.half_width or 0.0 for summary in summaries])
    return Curve(
        arm.name,
        len(values),
        places.mean(axis=0),
        mean,
        mean - half_width,
        mean + half_width,
        is_level=bool(scores) and arm.is_counted,
    )


def write_plots(arms: Sequence[ArmRecord], folder: Path, loss: str = BITS) -> dict[str, str]:
    """Writes CSV, SVG and PNG of each plot that has a curve; returns the SVGs by axis."""
    drawn = {}
    for axis in AXES:
        curves = [curve for arm in arms if (curve := read_curve(arm, axis))]
        if all(curve.is_level for curve in curves):
            continue
        folder.mkdir(parents=True, exist_ok=True)
        name = f"validation_against_{axis}"
        write_atomically(folder / f"{name}.csv", to_csv(curves, axis, loss))
        with matplotlib.rc_context(STYLE):
            figure = draw(curves, axis, [arm.name for arm in arms], loss)
            drawn[axis] = save_figure(figure, folder / name)
    return drawn


def save_figure(figure: Figure, path: Path) -> str:
    """Writes `path`.svg and `path`.png; returns the SVG."""
    for suffix, options in (("svg", {"metadata": {"Date": None}}), ("png", {"dpi": 200})):
        content = io.BytesIO()
        figure.savefig(content, format=suffix, bbox_inches="tight", **options)
        write_atomically(path.with_name(f"{path.name}.{suffix}"), content.getvalue())
    return path.with_name(f"{path.name}.svg").read_text(encoding="utf-8")


def to_csv(curves: Sequence[Curve], axis: str, loss: str = BITS) -> str:
    """The plotted numbers; a level curve's place on the axis is left empty."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    name = f"validation_{loss.replace(' ', '_')}"
    rows.writerow(("arm", "seeds", axis, name, "low", "high"))
    for curve in curves:
        for x, *values in zip(curve.x, curve.mean, curve.low, curve.high, strict=True):
            place = "" if curve.is_level else repr(float(x))
            rows.writerow((curve.arm, curve.seeds, place, *map(repr, map(float, values))))
    return text.getvalue()


def draw(curves: Sequence[Curve], axis: str, arms: Sequence[str], loss: str = BITS) -> Figure:
    """One plot; an arm's place among `arms` decides its look, so that it keeps it everywhere."""
    figure = Figure(figsize=(4.3, 3.3))
    axes = figure.add_axes((0.1, 0.14, 0.62, 0.75))
    looks = {arm: arm_look(arms.index(arm)) for arm in [curve.arm for curve in curves]}
    for curve in curves:
        look = looks[curve.arm]
        if curve.is_level:
            axes.axhline(curve.mean[0], **look)
            continue
        axes.plot(curve.x, curve.mean, marker="o", markersize=3.5, **look)
        if curve.seeds > 1:
            axes.fill_between(
                curve.x, curve.low, curve.high, color=look["color"], alpha=0.2, linewidth=0
            )
    axes.set_ylim(*_limits(curves))
    axes.set_xlim(left=0)
    _label_places(axes, axis)
    figure.text(0.0, 0.95, f"validation {loss}", color=MUTED)
    label_ends(axes, curves, looks)
    return figure


def arm_look(index: int) -> dict[str, str]:
    """Colour and line style of the arm at `index` in the study."""
    dashes = DASHES[index // len(PALETTE) % len(DASHES)]
    return {"color": PALETTE[index % len(PALETTE)], "linestyle": dashes}


def spread(places: Sequence[float], gap: float, top: float = 1.0) -> np.ndarray:
    """The places, moved as far apart as `gap` asks, in their order and not above `top`."""
    places = np.array(places, float)
    order = np.argsort(places, kind="stable")
    for below, above in pairwise(order):
        places[above] = max(places[above], places[below] + gap)
    places[order[-1]] = min(places[order[-1]], top)
    for above, below in pairwise(order[::-1]):
        places[below] = min(places[below], places[above] - gap)
    return places


def _course(metrics: Sequence[Mapping[str, Any]], axis: str) -> dict[int, tuple[float, float]]:
    return {
        row["step"]: (row[axis], loss_of(row))
        for row in metrics
        if row["kind"] == "evaluation"
        and row["split"] == "validation"
        and loss_of(row) is not None  # as of word vectors
    }


def _limits(curves: Sequence[Curve]) -> tuple[float, float]:
    """From the lowest mean to the highest after the first fifth, where all fall steeply.

    Bands count from three seeds on: two leave the mean so uncertain that curves would lie flat.
    """
    highs = [curve.high if curve.seeds >= LEAST_SEEDS else curve.mean for curve in curves]
    lows = [curve.low if curve.seeds >= LEAST_SEEDS else curve.mean for curve in curves]
    seen = zip(curves, highs, strict=True)
    highest = max(high[curve.x >= curve.x[-1] / 5].max() for curve, high in seen)
    lowest = min(min(low[-1], curve.mean.min()) for curve, low in zip(curves, lows, strict=True))
    margin = 0.05 * (highest - lowest) or 0.1
    return lowest - margin, highest + margin


def _label_places(axes: Axes, axis: str) -> None:
    """Labels the axis and its ticks: seconds as minutes or hours if many, numbers as 1 k, 1 M."""
    longest = axes.get_xlim()[1]
    if axis == "seconds" and longest > 2 * 60:
        hours = longest > 2 * 3600
        axes.set_xlabel("training hours" if hours else "training minutes")
        unit = 3600 if hours else 60
        axes.xaxis.set_major_locator(MultipleLocator(unit * _round_step(longest / unit)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda place, _: f"{place / unit:g}"))
        return
    axes.set_xlabel(AXES[axis])
    if axis != "seconds":
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.xaxis.set_major_formatter(EngFormatter(sep="\N{NO-BREAK SPACE}"))


def _round_step(length: float) -> float:
    """A step of 1, 2 or 5 times a power of ten that goes some five times into `length`."""
    power = 10.0 ** np.floor(np.log10(length / 5))
    return power * min((1, 2, 5, 10), key=lambda factor: abs(length / (power * factor) - 5))


def label_ends(axes: Axes, curves: Sequence[Curve], looks: dict[str, dict[str, str]]) -> None:
    """Names the curves beside the right edge, in the order in which they end."""
    low, high = axes.get_ylim()
    ends = [(curve.mean[-1] - low) / (high - low) for curve in curves]
    for curve, place in zip(curves, spread(ends, LABEL_GAP), strict=True):
        axes.plot(
            (1.015, 1.055),
            (place, place),
            transform=axes.transAxes,
            clip_on=False,
            **looks[curve.arm],
        )
        label = f"{curve.mean[-1]:.3f}  {curve.arm}"
        axes.text(1.07, place, label, transform=axes.transAxes, va="center", fontsize=9)
