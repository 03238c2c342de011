"""Scores of models that adapted to the text, for a section of the report of their own."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lmjax.runs.terminal import printable
from lmjax.studies.records import ArmRecord, StudyRecord
from lmjax.studies.statistics import summarize

Chosen = tuple[float, float, float, int]  # bits per byte with it and without, weight, length


@dataclass(frozen=True)
class AdaptationRow:
    """One arm's scores of a split with what adapts to it, over its seeds."""

    arm: str
    split: str
    context: str
    adapted: str  # bits per byte, mean ± half of its 95 % interval
    unadapted: str  # of the same runs
    chosen: str  # by validation

    @property
    def sentence(self) -> str:
        """What the row says, in words."""
        without = f", without {self.unadapted}" if self.unadapted else ""
        return f"{self.adapted} with a cache of {self.chosen} ({self.context}){without}"


def adaptation_rows(study: StudyRecord) -> list[AdaptationRow]:
    """A row for each split of each arm that has any; of its seeds, the same of all is put together.

    Lengths of caches may differ by seed, since validation chooses them; all are named.
    """
    return [row for arm in study.arms for row in _of_arm(arm)]


def _of_arm(arm: ArmRecord) -> list[AdaptationRow]:
    found: dict[tuple[str, str], list[Chosen]] = {}
    for run in arm.finished:
        cache = run.results.get("adapted", {}).get("unigram_cache", {"splits": {}})
        for split, score in cache["splits"].items():
            bits, alone = score["bits_per_byte"], _alone(run.results, split)
            if bits is not None:
                context = score["context"].partition("_unigram_cache")[0].replace("_", " ")
                one = bits, alone, cache["weight"], cache["length"]
                found.setdefault((split, context), []).append(one)
    rows = []
    for (split, context), scores in sorted(found.items()):
        adapted, alone, weights, lengths = zip(*scores, strict=True)
        rows.append(
            AdaptationRow(
                arm.name,
                printable(split),
                printable(f"{context}, unigram cache"),
                _interval(adapted),
                "" if None in alone else _interval(alone),
                f"the last {_each(lengths, 'd')}, weight {_each(weights, '.3f')}",
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
