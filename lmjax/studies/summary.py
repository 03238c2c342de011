"""The figures of a study: a row an arm of every table; tables, verdict and notes for a terminal."""

from collections.abc import Callable

import numpy as np
from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from lmjax.runs.fields import is_number
from lmjax.runs.terminal import clock_time, printable
from lmjax.studies.adaptations import adaptation_rows
from lmjax.studies.comparisons import Comparison
from lmjax.studies.judging import arm_scores, study_comparisons, study_verdict
from lmjax.studies.losses import SHORT, loss_of
from lmjax.studies.notes import study_notes
from lmjax.studies.records import ArmRecord, StudyRecord
from lmjax.studies.statistics import SIGNIFICANCE, summarize, text_half_width
from lmjax.studies.tables import Row, named, shown_tables
from lmjax.studies.tuned import tuning_figures

BREAKING = (*SHORT.values(), "chosen", "context", "perplexity", "finding")


def summary_rows(study: StudyRecord) -> list[Row]:
    """A row for each arm, in the study's order."""
    winner = study_verdict(study).winner
    beside = {one.arm: beside_baseline(one) for one in study_comparisons(study)}
    return [
        Row(
            arm.name,
            _note(arm, study, winner),
            named(_figures(arm, study) | beside.get(arm.name, {}), study.loss),
            arm.name == winner,
        )
        for arm in study.arms
    ]


def beside_baseline(one: Comparison) -> dict[str, str]:
    """The columns of an arm beside the baseline; empty where nothing tells."""
    half_width = "" if one.half_width is None else f" ± {one.half_width:.4f}"
    at_best = one.least_seeds_p_value
    is_coarse = at_best is not None and at_best >= SIGNIFICANCE
    return {
        "above it, bits/byte": f"{one.mean:+.4f}{half_width}",
        "percent": f"{one.percent:+.2f}",
        "finding": one.finding,
        "Holm's p": _p(one.adjusted_p_value),
        "p": _p(one.p_value),
        "p by text": _p(one.text_p_value),
        "p by seeds": _p(one.seeds_p_value) + (f" (≥ {at_best:.2g})" if is_coarse else ""),
        "Hedges' g": "" if one.hedges_g is None else f"{one.hedges_g:+.2f}",
    }


def _p(value: float | None) -> str:
    if value is None:
        return ""
    return "< 0.0001" if value < 1e-4 else f"{value:.2g}"  # no test knows its tails so well


def terminal_summary(study: StudyRecord) -> Group:
    """The tables, the verdict, the notes and each model's continuation of the prompt, for rich."""
    rows = summary_rows(study)
    parts = [Text(study.question or study.name, style="bold")]
    for number, shown in enumerate(shown_tables(rows, study.loss)):
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
        table.add_column(shown.title, overflow="fold")
        for column in shown.columns:
            # Only words and, before its interval, a score may break.
            may_break = column.endswith(BREAKING)
            justify = "left" if column in ("chosen", "finding") else "right"
            table.add_column(
                column.replace(" ", "\n"), justify=justify, no_wrap=not may_break, overflow="fold"
            )
        for row in shown.rows:
            name = Text(row.arm, style="bold" if row.is_winner else "")
            if row.note and not number:
                name.append(f" {row.note}", style="dim")
            table.add_row(name, *(row.figures.get(column, "") for column in shown.columns))
        parts.append(table)
    parts.append(Text(study_verdict(study).text, style="bold"))
    parts += [Text(note, style="dim") for note in study_notes(study)]
    if adapted := adaptation_rows(study):
        parts.append(Text("\nAdapted to the text (bits per byte)", style="bold"))
        parts += [Text(f"{row.arm}, {row.split}: {row.sentence}") for row in adapted]
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


def _figures(arm: ArmRecord, study: StudyRecord) -> dict[str, str]:
    if not arm.finished:
        return {}
    results = [run.results for run in arm.finished]
    training = [result["training"] for result in results]
    tokens = np.mean([run["tokens"] for run in training])
    seconds = np.mean([run["seconds"] for run in training])
    distinct = [run["distinct_tokens"] for run in training if run.get("distinct_tokens")]
    flops = [run.training_flops(study.knows_elementwise) for run in arm.finished]
    return {
        "seeds": _seeds(arm, study),
        "validation bits/byte": _interval(arm, "validation"),
        "test bits/byte": _interval(arm, "test"),
        "by text": _by_text(arm),
        "unknowns": _of_splits(arm, lambda score: score.get("unknowns")),
        **_perplexities(arm, study),
        "parameters": f"{results[0]['parameters']['total']:,}",
        "non-embedding": f"{results[0]['parameters']['non_embedding']:,}",
        "nats of": "" if study.is_causal else ", ".join(arm.nats_of).replace("_", " "),
        "context": ", ".join(_contexts(arm)),
        "state bytes": f"{results[0]['state_bytes']:,}",
        "tokens": f"{tokens:,.0f}",
        "distinct tokens": f"{np.mean(distinct):,.0f}" if distinct else "",
        "FLOPs": f"{np.mean(flops):.3g}" if all(flops) else "",
        "tokens/s": f"{tokens / seconds:,.0f}",
        "time": f"{seconds:.1f} s" if seconds < 60 else clock_time(seconds),
        **_choice(arm),
    }


def _seeds(arm: ArmRecord, study: StudyRecord) -> str:
    asked = 1 if arm.is_counted else len({run.seed for run in arm.runs}.union(study.seeds))
    finished = len(arm.finished)
    return f"{finished} of {asked}" if finished < asked else str(finished)


def _interval(arm: ArmRecord, split: str) -> str:
    values = [loss_of(score) for score in arm.scores(split).values()]
    return _mean(values, 4)


def _perplexities(arm: ArmRecord, study: StudyRecord) -> dict[str, str]:
    if not study.is_of_one_tokenizer:
        return {}
    splits = {}
    for split in ("validation", "test"):
        values = [score.get("perplexity") for score in arm.scores(split).values()]
        if all(map(is_number, values)):
            splits[f"{split} perplexity"] = _mean(values, 2)
    return splits


def _mean(values: list[float], digits: int) -> str:
    if not values:
        return ""
    summary = summarize(values)
    half_width = "" if summary.half_width is None else f" ± {summary.half_width:.{digits}f}"
    return f"{summary.mean:.{digits}f}{half_width}"


def _by_text(arm: ArmRecord) -> str:
    segments = arm_scores(arm, "test" if arm.scores("test") else "validation").segments
    half_width = None if segments is None else text_half_width(segments)
    return "" if half_width is None else f"± {half_width:.4f}"


def _of_splits(arm: ArmRecord, count: Callable) -> str:
    """A count of the validation and, where it is scored, of the test split."""
    counts = [
        count(score)
        for split in ("validation", "test")
        for score in list(arm.scores(split).values())[:1]
    ]
    return ", ".join(f"{value:,}" for value in counts if value is not None)


def _contexts(arm: ArmRecord) -> list[str]:
    scores = [score for split in ("validation", "test") for score in arm.scores(split).values()]
    return list(dict.fromkeys(score["context"].replace("_", " ") for score in scores))


def _choice(arm: ArmRecord) -> dict[str, str]:
    if arm.considered:
        trials = len(arm.considered) + len(arm.unfinished_choices)
        failed = len(arm.unfinished_choices)
        return {
            "trials": f"{trials} ({failed} failed)" if failed else str(trials),
            "best trial": f"{arm.considered[arm.chosen]:.4f}",
            "chosen": printable(arm.chosen),
        }
    return tuning_figures(arm.tuning) if arm.tuning else {}


def _note(arm: ArmRecord, study: StudyRecord, winner: str | None) -> str:
    if not arm.finished:
        return "failed" if arm.failures else "damaged" if arm.damaged else "not finished"
    parts = [arm.chosen] if arm.chosen else []
    parts += ["counted"] if arm.is_counted else []
    parts += ["baseline"] if arm.name == study.baseline else []
    parts += ["winner"] if arm.name == winner else []
    return ", ".join(parts)
