"""How accuracy goes with the length of a task's inputs, those of the training and longer ones."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from lmjax.runs.files import write_atomically
from lmjax.studies.plots import MUTED, STYLE, Curve, arm_look, label_ends, save_figure
from lmjax.studies.records import ArmRecord

NAME = "accuracy_against_length"
DRAWN = 10  # lengths that are one point of a curve
CAPTION = (
    f"A point is the mean over {DRAWN} lengths, the last one over what is left. Left of the "
    "upright line are lengths of the training."
)
Accuracies = dict[str, dict[int, list[float]]]  # by split and length, one of each run


def write_lengths(arms: Sequence[ArmRecord], folder: Path) -> str:
    """Writes CSV, SVG and PNG of the accuracies; returns the SVG, empty if there are none.

    That is where the runs were scored on a task whose inputs are of several lengths.
    """
    found = {arm.name: accuracies_of(arm) for arm in arms}
    if all(len(of_split) < 2 for of_arm in found.values() for of_split in of_arm.values()):
        return ""
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / f"{NAME}.csv", to_csv(found))
    with matplotlib.rc_context(STYLE):
        return save_figure(draw(found), folder / NAME)


def accuracies_of(arm: ArmRecord) -> Accuracies:
    """Of validation and test, where a score tells them."""
    found: Accuracies = {}
    for split in ("validation", "test"):
        for score in arm.scores(split).values():
            columns = score.get("segments") or {}
            if not {"length", "right", "tokens"} <= columns.keys():
                continue
            names = ("length", "right", "tokens")
            for length, right, tokens in zip(*(columns[name] for name in names), strict=True):
                if tokens:
                    found.setdefault(split, {}).setdefault(length, []).append(right / tokens)
    return found


def to_csv(found: dict[str, Accuracies]) -> str:
    """A row for each length, with the mean over the runs and the lowest of them."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("arm", "split", "length", "runs", "accuracy", "lowest"))
    for arm, of_arm in found.items():
        for split, of_split in of_arm.items():
            for length, values in of_split.items():
                mean, lowest = repr(float(np.mean(values))), repr(float(min(values)))
                rows.writerow((arm, split, length, len(values), mean, lowest))
    return text.getvalue()


def draw(found: dict[str, Accuracies]) -> Figure:
    """A line of each arm; the upright one is at the longest input of the training."""
    figure = Figure(figsize=(6.4, 3.3))
    axes = figure.add_axes((0.08, 0.14, 0.7, 0.75))
    curves, looks = [], {}
    for index, (arm, of_arm) in enumerate(found.items()):
        x, mean = _points(of_arm)
        if not len(x):
            continue
        looks[arm] = arm_look(index)
        curves.append(Curve(arm, 1, x, mean, mean, mean))
        axes.plot(x, mean, **looks[arm])
    trained = [length for of_arm in found.values() for length in of_arm.get("validation", {})]
    if trained and any("test" in of_arm for of_arm in found.values()):
        axes.axvline(max(trained) + 0.5, color=MUTED, linewidth=1)
        place = dict(xytext=(3, 3), textcoords="offset points", va="bottom")
        label = f"longest in training: {max(trained)}"
        axes.annotate(label, (max(trained) + 0.5, 0), color=MUTED, **place)
    axes.set_ylim(-0.02, 1.05)
    axes.set_xlim(left=0)
    axes.set_xlabel("symbols of the input")
    figure.text(0.0, 0.95, "accuracy", color=MUTED)
    label_ends(axes, curves, looks)
    return figure


def _points(of_arm: Accuracies) -> tuple[np.ndarray, np.ndarray]:
    """Means of DRAWN lengths each, those of the training apart from longer ones."""
    x, mean = [], []
    for of_split in of_arm.values():
        lengths = sorted(of_split)
        for begin in range(0, len(lengths), DRAWN):
            part = lengths[begin : begin + DRAWN]
            x.append(np.mean(part))
            mean.append(np.mean([np.mean(of_split[length]) for length in part]))
    return np.array(x), np.array(mean)
