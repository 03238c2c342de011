"""What the arms' answers to a task are worth, and the answers themselves, for the report."""

import csv
import io
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from lmjax.errors import UserError
from lmjax.runs.fields import (
    check_fields,
    is_number,
    is_number_or_nothing,
    is_text,
    is_text_or_nothing,
)
from lmjax.runs.files import parse_json, read_whole, write_atomically
from lmjax.runs.terminal import printable
from lmjax.studies.alignments import COLOURS
from lmjax.studies.plots import GRID, INK, PAPER, STYLE
from lmjax.studies.records import ArmRecord, StudyRecord
from lmjax.studies.statistics import summarize
from lmjax.tasks.classification_metrics import Confusion
from lmjax.tasks.contract import Kind
from lmjax.tasks.registry import find_kind

SPLITS = ("test", "validation")  # the first that there is, is shown
LARGEST_FILE = 256 << 20  # bytes of predictions
ERRORS, EXAMPLES = 10, 5  # shown of an arm
CHARACTERS = 240  # of a text
MOST_LABELS = 60  # of a picture
MOST_COUNTED = 20  # labels, of which each count is written


def is_interval_or_nothing(value: Any) -> bool:
    return value is None or (
        isinstance(value, list) and len(value) == 2 and all(map(is_number, value))
    )


def is_reference(value: Any) -> bool:
    return is_text_or_nothing(value) or (isinstance(value, list) and all(map(is_text, value)))


TASK = {
    "kind": is_text,
    "main": is_text,
    "metrics": {...: is_number_or_nothing},
    "intervals": {...: is_interval_or_nothing},
    "baselines": {...: {...: is_number_or_nothing}},
}
ANSWER = {
    "source": is_text_or_nothing,
    "second": is_text_or_nothing,
    "reference": is_reference,
    "prediction": is_text,
}


@dataclass(frozen=True)
class TaskTable:
    """The metrics of all arms of one kind and split, and of its baselines."""

    title: str
    metrics: tuple[str, ...]
    rows: list[tuple[str, list[str]]]  # who, and a figure for each metric


@dataclass(frozen=True)
class Answers:
    """Some answers of an arm's first run: source, what is right, what was told, how surely."""

    arm: str
    split: str
    seed: int
    errors: list[tuple[str, str, str, str]]  # those that it was most sure of
    examples: list[tuple[str, str, str, str]]
    confusion: Confusion | None  # of labels, unless they are too many for a picture


def check_task(task: Any, source: object, name: str) -> None:
    """Raises UserError if what results.json says of a task is not that."""
    check_fields(task, TASK, source, name)


def task_tables(study: StudyRecord) -> list[TaskTable]:
    """A table for each kind and split: over seeds, mean ± half of its 95 % interval.

    Of a run alone, between parentheses, the 95 % interval over examples. Of a baseline, the mean
    over all runs, which differ where their splits do.
    """
    found: dict[tuple[str, str], dict[str, list[Mapping[str, Any]]]] = {}
    for arm in study.arms:
        for run in arm.finished:
            for split, score in run.results["splits"].items():
                if task := score.get("task"):
                    of_arms = found.setdefault((split, task["kind"]), {})
                    of_arms.setdefault(arm.name, []).append(task)
    return [
        _table(f"{printable(kind)}, {printable(split)}", of_arms)
        for (split, kind), of_arms in sorted(found.items())
    ]


def _table(title: str, of_arms: Mapping[str, list[Mapping[str, Any]]]) -> TaskTable:
    tasks = [task for of_arm in of_arms.values() for task in of_arm]
    metrics = tuple(dict.fromkeys(name for task in tasks for name in task["metrics"]))
    rows = [
        (arm, [_figure(of_arm, metric) for metric in metrics]) for arm, of_arm in of_arms.items()
    ]
    for name in dict.fromkeys(name for task in tasks for name in task["baselines"]):
        told = [task["baselines"][name] for task in tasks if name in task["baselines"]]
        figures = [_mean([of_run.get(metric) for of_run in told]) for metric in metrics]
        rows.append((f"baseline: {printable(name)}", figures))
    return TaskTable(title, tuple(map(printable, metrics)), rows)


def _figure(tasks: Sequence[Mapping[str, Any]], metric: str) -> str:
    values = [task["metrics"].get(metric) for task in tasks]
    if None in values:
        return "undefined"
    summary = summarize(values)
    if summary.half_width is not None:
        return f"{summary.mean:.4f} ± {summary.half_width:.4f}"
    interval = tasks[0]["intervals"].get(metric)
    between = f" ({interval[0]:.4f} to {interval[1]:.4f})" if interval else ""
    return f"{summary.mean:.4f}{between}"


def _mean(values: Sequence[float | None]) -> str:
    return "undefined" if None in values else f"{np.mean(values):.4f}"


def kept_answers(study: StudyRecord) -> list[Answers | None]:
    """Of each arm what is shown of the answers of its first run; None: that has kept none.

    Raises UserError as `read_answers`.
    """
    return [_kept(arm) for arm in study.arms]


def confusion_pictures(kept: Sequence[Answers | None], folder: Path) -> list[tuple[str, str]]:
    """`(caption, address)` of the confusion matrix of each arm's first run, also put into `folder`.

    The address holds the picture as an image, which a page shows without executing what is in it.
    """
    pictures = []
    for number, of_arm in enumerate(kept, start=1):
        if not of_arm or not (confusion := of_arm.confusion):
            continue
        folder.mkdir(parents=True, exist_ok=True)
        content = io.BytesIO()
        with matplotlib.rc_context(STYLE):
            draw(confusion).savefig(
                content, format="svg", bbox_inches="tight", metadata={"Date": None}
            )
        name = f"confusion_{number}"
        write_atomically(folder / f"{name}.svg", content.getvalue())
        write_atomically(folder / f"{name}.csv", _to_csv(confusion))
        address = f"data:image/svg+xml;base64,{b64encode(content.getvalue()).decode()}"
        pictures.append((f"{of_arm.arm}, {of_arm.split}, seed {of_arm.seed}", address))
    return pictures


def draw(confusion: Confusion) -> Figure:
    """What is right downwards, what was told from left to right; the darker, the more of a row."""
    labels, counts_CC = confusion.labels, confusion.counts_CC
    size = len(labels)
    cell = 0.45 if size <= MOST_COUNTED else 0.2
    shares_CC = counts_CC / np.maximum(counts_CC.sum(axis=1, keepdims=True), 1)
    figure = Figure(figsize=(cell * size, cell * size))
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.pcolormesh(shares_CC, cmap=COLOURS, vmin=0.0, vmax=1.0, edgecolors=GRID, linewidth=0.5)
    axes.invert_yaxis()
    axes.grid(False)
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.set_xticks(np.arange(size) + 0.5, labels, rotation=90)
    axes.set_yticks(np.arange(size) + 0.5, labels)
    axes.tick_params(length=0)
    axes.set_xlabel("told", labelpad=8)
    axes.set_ylabel("right", labelpad=8)
    for row, column in np.argwhere(counts_CC) if size <= MOST_COUNTED else ():
        color = PAPER if shares_CC[row, column] > 0.5 else INK
        middle = dict(ha="center", va="center", fontsize=8, color=color)
        axes.text(column + 0.5, row + 0.5, str(counts_CC[row, column]), **middle)
    return figure


def _to_csv(confusion: Confusion) -> str:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("right", *confusion.labels))
    rows.writerows(
        (label, *counts)
        for label, counts in zip(confusion.labels, confusion.counts_CC.tolist(), strict=True)
    )
    return text.getvalue()


def _kept(arm: ArmRecord) -> Answers | None:
    for run in arm.finished[:1]:
        for split in SPLITS:
            path = run.path / "predictions" / f"{split}.jsonl"
            if path.is_file():
                scores = run.results["splits"].values()
                kinds = [score["task"]["kind"] for score in scores if score.get("task")]
                kind = find_kind(kinds[0]) if kinds else Kind()
                rows = read_answers(path)  # which may be many: of one arm at a time
                wrong = [row for row in rows if _is_sure(row) and not _is_right(kind, row)]
                wrong.sort(key=lambda row: -row["probability"])
                spread = [rows[len(rows) * i // EXAMPLES] for i in range(min(EXAMPLES, len(rows)))]
                parts = ([_shown(row) for row in part] for part in (wrong[:ERRORS], spread))
                return Answers(arm.name, split, run.seed, *parts, _confusion(rows))
    return None


def _confusion(rows: Sequence[Mapping[str, Any]]) -> Confusion | None:
    if not rows or not all("probabilities" in row for row in rows):
        return None
    told, right = (
        [printable(str(row[side])) for row in rows] for side in ("prediction", "reference")
    )
    confusion = Confusion.of(told, right)
    return confusion if len(confusion.labels) <= MOST_LABELS else None


def read_answers(path: Path) -> list[dict[str, Any]]:
    """The answers in a file, as a run keeps them; raises UserError, naming the line, for others."""
    rows = []
    for number, line in enumerate(read_whole(path, LARGEST_FILE).splitlines(), start=1):
        place = f"line {number} of {path}"
        try:
            row = parse_json(line)
        except ValueError as error:
            raise UserError(f"{place} is not JSON ({error}); evaluate the run anew") from error
        check_fields(row, ANSWER, place, cure="evaluate the run anew")
        rows.append(row)
    return rows


def _is_sure(row: Mapping[str, Any]) -> bool:
    return isinstance(row.get("probability"), int | float)


def _is_right(kind: Kind, row: Mapping[str, Any]) -> bool:
    reference = row.get("reference")
    right = reference if isinstance(reference, list) else [reference]
    return any(kind.is_right(row["prediction"], text) for text in right if text is not None)


def _shown(row: Mapping[str, Any]) -> tuple[str, str, str, str]:
    source = " | ".join(filter(None, (row["source"], row.get("second"))))
    reference = row.get("reference") or ""
    right = " | ".join(map(str, reference)) if isinstance(reference, list) else str(reference)
    sure = f"{row['probability']:.3f}" if _is_sure(row) else ""
    return *(_cut(text) for text in (source, right, row["prediction"])), sure


def _cut(text: str) -> str:
    text = printable(" ".join(text.split()))
    return text if len(text) <= CHARACTERS else f"{text[:CHARACTERS]}..."
