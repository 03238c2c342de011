"""Scores of models that adapted to the text, for a section of the report of their own."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lmjax.runs.terminal import printable
from lmjax.studies.records import ArmRecord, StudyRecord
from lmjax.studies.statistics import summarize


@dataclass(frozen=True)
class Adaptation:
    """What a table says of a kind of them, and which of its numbers."""

    words: str  # before what was chosen, in a sentence
    mark: str  # what its name begins with, behind the context's
    fields: tuple[tuple[str, str, str], ...]  # words about each number, its field and its digits


ADAPTATIONS = {
    "unigram_cache": Adaptation(
        "a cache of",
        "_unigram_cache",
        (("the last {}", "length", "d"), ("weight {}", "weight", ".3f")),
    ),
    "neural_cache": Adaptation(
        "a neural cache of",
        "_neural_cache",
        (
            ("the last {}", "length", "d"),
            ("theta {}", "flatness", "g"),
            ("lambda {}", "weight", ".3f"),
        ),
    ),
    "dynamic_evaluation": Adaptation(
        "dynamic evaluation by",
        "_dynamic_",
        (
            ("segments of {}", "segment", "d"),
            ("learning rate {}", "learning_rate", "g"),
            ("lambda {}", "decay", "g"),
        ),
    ),
    "mc_dropout": Adaptation("dropout in", "_mc_dropout", (("{} passes", "passes", "d"),)),
}


@dataclass(frozen=True)
class AdaptationRow:
    """One arm's scores of a split with what adapts to it, over its seeds."""

    arm: str
    split: str
    context: str
    adapted: str  # bits per byte, mean ± half of its 95 % interval
    unadapted: str  # of the same runs
    chosen: str  # by validation
    words: str  # before that, in a sentence

    @property
    def sentence(self) -> str:
        """What the row says, in words."""
        without = f", without {self.unadapted}" if self.unadapted else ""
        return f"{self.adapted} with {self.words} {self.chosen} ({self.context}){without}"


def adaptation_rows(study: StudyRecord) -> list[AdaptationRow]:
    """A row for each split of each arm that has any; of its seeds, the same of all is put together.

    What validation chooses may differ by seed; all are named.
    """
    return [row for arm in study.arms for row in _of_arm(arm)]


def _of_arm(arm: ArmRecord) -> list[AdaptationRow]:
    return [row for kind in ADAPTATIONS for row in _of_kind(arm, kind)]


def _of_kind(arm: ArmRecord, kind: str) -> list[AdaptationRow]:
    about, found = ADAPTATIONS[kind], {}
    for run in arm.finished:
        kept = run.results.get("adapted", {}).get(kind, {"splits": {}})
        for split, score in kept["splits"].items():
            bits, alone = score["bits_per_byte"], _alone(run.results, split)
            if bits is not None:
                context, _, rest = score["context"].partition(about.mark)
                rule = rest.rpartition("_")[0]  # of dynamic evaluation
                words = " ".join([context, *filter(None, [rule])]).replace("_", " ")
                numbers = [kept[field] for _, field, _ in about.fields]
                found.setdefault((split, words), []).append((bits, alone, *numbers))
    rows = []
    for (split, context), scores in sorted(found.items()):
        adapted, alone, *numbers = zip(*scores, strict=True)
        rows.append(
            AdaptationRow(
                arm.name,
                printable(split),
                printable(f"{context}, {kind.replace('_', ' ')}"),
                _interval(adapted),
                "" if None in alone else _interval(alone),
                ", ".join(
                    words.format(_each(values, digits))
                    for (words, _, digits), values in zip(about.fields, numbers, strict=True)
                ),
                about.words,
            )
        )
    return rows


def _alone(results: Mapping[str, Any], split: str) -> float | None:
    return results["splits"].get(split, {}).get("bits_per_byte")


def _interval(values: tuple[float, ...]) -> str:
    summary = summarize(values)
    half_width = "" if summary.half_width is None else f" ± {summary.half_width:.4f}"
    return f"{summary.mean:.4f}{half_width}"


def _each(values: tuple[float, ...], digits: str) -> str:
    return ", ".join(dict.fromkeys(format(value, digits) for value in values))
