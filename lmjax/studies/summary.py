"""The figures of a study: a row an arm, the verdict, and what one must know to read them."""

import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from lmjax.studies.judging import study_verdict
from lmjax.studies.records import ArmRecord, RunRecord, StudyRecord
from lmjax.studies.statistics import summarize
from lmjax.studies.study import TOLERANCE

COLUMNS = {
    "parameters": "all of them, embeddings included; entries of the tables of a counted model",
    "tokens/s": "read in training, the median of the log's rows",
    "validation bits/byte": "of the scored checkpoint",
    "test bits/byte": "of the scored checkpoint, which validation has chosen",
    "state bytes": "what is remembered of one text between two tokens, at its longest",
    "seconds": "of training, without compilation and evaluation",
}


@dataclass(frozen=True)
class Row:
    """One arm's figures as text, in the order of COLUMNS; none where there is no result."""

    arm: str
    note: str
    figures: tuple[str, ...]
    is_winner: bool


def summary_rows(study: StudyRecord) -> list[Row]:
    """A row for each arm, in the study's order."""
    winner = study_verdict(study).winner
    return [
        Row(arm.name, _note(arm, study, winner), _figures(arm), arm.name == winner)
        for arm in study.arms
    ]


def study_notes(study: StudyRecord) -> list[str]:
    """What the figures rest on, in sentences; what failed comes first."""
    notes = [f"{arm.name} failed: {failure}." for arm in study.arms for failure in arm.failures]
    notes += [f"{arm.name} has a damaged run: {why}." for arm in study.arms for why in arm.damaged]
    trained = [arm for arm in study.arms if arm.finished and not arm.is_counted]
    notes += [_matched(study, quantity, trained) for quantity in study.matched if trained]
    for arm in study.arms:
        if arm.considered:
            figures = ", ".join(f"{name} {value:.4f}" for name, value in arm.considered.items())
            notes.append(f"{arm.name}: validation chose {arm.chosen} (bits per byte: {figures}).")
        elif arm.finished and arm.is_counted:
            notes.append(f"{arm.name} is counted, not trained, and states its own size.")
    contexts, counts = {}, {}
    for arm in study.arms:
        for score in arm.scores("validation").values():
            contexts.setdefault(score["context"], {})[arm.name] = None
        counts.setdefault(len(arm.finished), []).append(arm.name)
    notes += [
        f"Context of the scores of {_list(names, study)}: {name}."
        for name, names in contexts.items()
    ]
    notes += [f"Seeds of {_list(names, study)}: n = {count}." for count, names in counts.items()]
    if any(count > 1 for count in counts):
        notes.append("Figures after ± are half of the 95 % interval of a mean (Student's t).")
    return notes


def terminal_summary(study: StudyRecord) -> Group:
    """The table, the verdict, the notes and each model's continuation of the prompt, for rich."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("model", overflow="fold")
    for column in COLUMNS:
        is_score = column.endswith("bits/byte")  # breaks before its interval where space is short
        table.add_column(column.replace(" ", "\n"), justify="right", no_wrap=not is_score)
    for row in summary_rows(study):
        name = Text(row.arm, style="bold" if row.is_winner else "")
        name.append(f" {row.note}" if row.note else "", style="dim")
        table.add_row(name, *row.figures)
    title = Text(study.question or study.name, style="bold")
    parts = [title, table, Text(study_verdict(study).text, style="bold")]
    parts += [Text(note, style="dim") for note in study_notes(study)]
    for name, prompt, continuation in study_samples(study):
        parts += [Text(f"\n{name}", style="bold"), Text(prompt, style="dim") + Text(continuation)]
    return Group(*parts)


def study_samples(study: StudyRecord) -> list[tuple[str, str, str]]:
    """Name, prompt and continuation of the first sample of each arm that has one."""
    samples = []
    for arm in study.arms:
        sample = next((run.sample for run in arm.finished if run.sample), "")
        if sample:
            prompt = study.prompt if sample.startswith(study.prompt) else ""
            parts = (arm.name, prompt, sample[len(prompt) :])
            samples.append(tuple(map(printable, parts)))
    return samples


def printable(text: str) -> str:
    """The text with every control character but newline and tab replaced: models write anything."""
    return "".join(
        "\N{REPLACEMENT CHARACTER}"
        if unicodedata.category(character) == "Cc" and character not in "\n\t"
        else character
        for character in text
    )


def _list(names: Collection[str], study: StudyRecord) -> str:
    return "all arms" if len(names) == len(study.arms) else ", ".join(names)


def _figures(arm: ArmRecord) -> tuple[str, ...]:
    if not arm.finished:
        return ()
    results = arm.finished[0].results
    return (
        f"{results['parameters']['total']:,}",
        f"{np.mean([_tokens_per_second(run) for run in arm.finished]):,.0f}",
        _interval(arm, "validation"),
        _interval(arm, "test"),
        f"{results['state_bytes']:,}",
        f"{np.mean([run.results['training']['seconds'] for run in arm.finished]):,.1f}",
    )


def _interval(arm: ArmRecord, split: str) -> str:
    values = [score["bits_per_byte"] for score in arm.scores(split).values()]
    if not values:
        return ""
    summary = summarize(values)
    half_width = "" if summary.half_width is None else f" ± {summary.half_width:.4f}"
    return f"{summary.mean:.4f}{half_width}"


def _tokens_per_second(run: RunRecord) -> float:
    logged = [row["tokens_per_second"] for row in run.metrics if row["kind"] == "train"]
    training = run.results["training"]
    return float(np.median(logged)) if logged else training["tokens"] / training["seconds"]


def _note(arm: ArmRecord, study: StudyRecord, winner: str | None) -> str:
    if not arm.finished:
        return "failed" if arm.failures else "damaged" if arm.damaged else "not finished"
    parts = [arm.chosen] if arm.chosen else []
    parts += ["baseline"] if arm.name == study.baseline else []
    parts += ["winner"] if arm.name == winner else []
    return ", ".join(parts)


def _matched(study: StudyRecord, quantity: str, arms: list[ArmRecord]) -> str:
    figures = {arm.name: _quantity(arm.finished[0].results, quantity) for arm in arms}
    target = figures.get(study.baseline) or next(iter(figures.values()))
    largest = max(abs(figure - target) / target for figure in figures.values())
    state = "Matched" if largest <= TOLERANCE else "NOT matched"
    name = quantity.replace("_", " ")
    return f"{state}: {name}, {target:,} in {study.baseline}, others within {largest:.2%} of it."


def _quantity(results: Mapping[str, Any], quantity: str) -> int:
    return {
        "parameters": results["parameters"]["total"],
        "non_embedding_parameters": results["parameters"]["non_embedding"],
        "training_tokens": results["training"]["tokens"],
    }[quantity]
