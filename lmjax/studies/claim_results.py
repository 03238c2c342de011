"""What was measured of a claim: a file that can be committed, and the verdict that it allows."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from lmjax.errors import UserError, writing
from lmjax.runs.fields import check_fields, is_count, is_number, is_text, is_text_or_nothing
from lmjax.runs.files import read_json, to_json, write_atomically
from lmjax.studies.claims import Claim
from lmjax.studies.statistics import Summary, summarize

REPRODUCE = "lmjax reproduce"  # the source of what was measured by it
KEY = ("context", "targets", "fingerprint")  # of what only equal values may be put together
TOLERATED = 1e-9  # relative, between a mean that is written and that of the seeds beside it


@dataclass(frozen=True)
class Part:
    """A published number's counterpart by seed, and what it is of."""

    by_seed: Mapping[str, float]
    context: str | None = None  # what was read before each target
    targets: int | None = None  # how many were scored
    fingerprint: str | None = None  # of corpus, split and tokenizer

    @property
    def summary(self) -> Summary:
        return summarize(list(self.by_seed.values()))

    def to_json(self) -> dict[str, Any]:
        """All fields, and mean and half width of the 95 % interval."""
        summary = self.summary
        return {**asdict(self), "mean": summary.mean, "half_width": summary.half_width}


@dataclass(frozen=True)
class ClaimResult:
    """What was measured of a claim. What is not on record of it is None."""

    claim: str
    experiment: str
    metric: str
    corpus: str
    parts: Mapping[str, Part]  # by the names of the published numbers
    source: str = REPRODUCE  # or the file that it was entered from
    shortened: str = ""  # in what it falls short of the claim's own experiment
    command: str = ""
    parameters: int | None = None
    runs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # by seed

    def joined_with(self, new: "ClaimResult") -> "ClaimResult":
        """The seeds of both, of one seed the new one.

        Raises UserError for seeds of another experiment, on another text or in another context.
        """
        if self.source != REPRODUCE:
            return new
        if self.experiment != new.experiment:
            raise UserError(
                f"{self.claim}: its result is of {self.experiment}, not of {new.experiment}; "
                "delete it to begin anew"
            )
        parts = {}
        for name, part in new.parts.items():
            kept = self.parts.get(name)
            for what in KEY if kept else ():
                if getattr(kept, what) != getattr(part, what):
                    raise UserError(
                        f"{self.claim}: its {name} was measured with the {what} "
                        f"{getattr(kept, what)}, and now with {getattr(part, what)}, so they can't "
                        "be put together; delete its result to begin anew"
                    )
            parts[name] = Part({**(kept.by_seed if kept else {}), **part.by_seed}, *_key(part))
        if len({frozenset(part.by_seed) for part in parts.values()}) > 1:
            raise UserError(
                f"{self.claim}: its published numbers would be of different seeds; delete its "
                "result to begin anew"
            )
        return replace(new, parts=parts, runs={**self.runs, **new.runs})

    def to_json(self) -> dict[str, Any]:
        parts = {name: part.to_json() for name, part in self.parts.items()}
        return {**vars(self), "parts": parts}


def _key(part: Part) -> tuple:
    return tuple(getattr(part, what) for what in KEY)


PART = {
    "by_seed": {...: is_number},
    "mean": is_number,
    "context": is_text_or_nothing,
    "fingerprint": is_text_or_nothing,
}
RESULT = {
    **dict.fromkeys(
        ("claim", "experiment", "metric", "corpus", "source", "shortened", "command"), is_text
    ),
    "parts": {...: PART},
    "runs": {...: {}},
}


def result_path(folder: Path, claim: Claim) -> Path:
    """The file of a claim's result."""
    return folder / f"{claim.id}.json"


def write_result(folder: Path, claim: Claim, result: ClaimResult) -> Path:
    """Keeps a result; returns its file."""
    path = result_path(folder, claim)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, to_json(result.to_json(), indent=2) + "\n")
    return path


def read_result(folder: Path, claim: Claim) -> ClaimResult | None:
    """The result of a claim, None if there is none yet.

    Raises UserError if it is damaged, or of another claim, metric or corpus.
    """
    path = result_path(folder, claim)
    if not path.exists():
        return None
    written = read_json(path)
    check_fields(written, RESULT, path)
    for name, here in (("claim", claim.id), ("metric", claim.metric), ("corpus", claim.corpus)):
        if written[name] != here:
            raise UserError(
                f"{path} is of the {name} {written[name]!r}, not {here!r}; delete it and measure "
                "anew"
            )
    parts = {}
    for name, part in written["parts"].items():
        if part.get("targets") is not None:
            check_fields(part["targets"], is_count, path, f"parts.{name}.targets")
        if name not in claim.published or not part["by_seed"]:
            raise UserError(f"{path} has a part {name!r} that was not published; delete it")
        parts[name] = Part(part["by_seed"], *(part.get(what) for what in KEY))
        mean = parts[name].summary.mean
        if abs(mean - part["mean"]) > TOLERATED * abs(mean):
            raise UserError(
                f"{path}: the mean of {name} is {mean}, not {part['mean']}; measure it again"
            )
    kept = {name: written[name] for name in RESULT if name != "parts"}
    return ClaimResult(**kept, parts=parts, parameters=written.get("parameters"))


def differences(claim: Claim, result: ClaimResult) -> dict[str, float]:
    """By how much each measured mean is higher than what was published."""
    return {name: part.summary.mean - claim.published[name] for name, part in result.parts.items()}


def verdict(claim: Claim, result: ClaimResult | None) -> str:
    """What may be said of a claim.

    One of `reproduced`, `missed by X`, `not run (needs Y)`, `not reproducible (reason)`, and of a
    published number that nobody has verified `none (...)`.
    """
    if not claim.is_verified:
        return "none (the published number is not verified)"
    if claim.status == "not reproducible":
        return f"not reproducible ({claim.reason})"
    if result is None:
        return f"not run (needs {_needs(claim)})"
    if result.shortened:
        return f"not run (needs its full size; this is {result.shortened})"
    if claim.tolerance is None:
        return "none (no tolerance was set)"
    missed = {
        name: difference
        for name, difference in differences(claim, result).items()
        if abs(difference) > claim.tolerance
    }
    if not missed:
        return "reproduced"
    several = len(claim.published) > 1
    each = (
        f"{shown(difference, claim.metric, signed=True)}{f' ({name})' if several else ''}"
        for name, difference in missed.items()
    )
    return f"missed by {', '.join(each)}"


def _needs(claim: Claim) -> str:
    if claim.status == "infeasible":
        return f"more than is at hand: {claim.reason}"
    if claim.command:
        return f"{claim.reason} and `{claim.command}`"
    if claim.status == "needs":
        return claim.reason
    minutes = claim.cost.get("minutes")
    return {
        "cpu": f"{minutes:g} minutes of a CPU" if minutes else "a CPU",
        "gpu10": "10 minutes of a GPU",
        "gpu30": "30 minutes of a GPU",
        "big": "a GPU for hours",
    }[claim.tier]


def remarks(claim: Claim, result: ClaimResult | None) -> str:
    """Why the verdict is what it is, and how far a reference is away; empty if neither is given."""
    if result is None:
        return ""
    values = {name: value for name, value in claim.reference.items() if name in result.parts}
    away = " / ".join(
        shown(result.parts[name].summary.mean - value, claim.metric, signed=True)
        for name, value in values.items()
    )
    reference = " / ".join(f"{value:g}" for value in values.values())
    beside = f"{away} from the reference {reference} ({claim.reference_from})" if values else ""
    return "; ".join(filter(None, (claim.why, beside)))


def shown(value: float, metric: str, *, signed: bool = False) -> str:
    """A number with as many digits as its metric has."""
    digits = 2 if metric in ("perplexity", "word_perplexity", "bleu", "accuracy") else 4
    return f"{value:{'+z' if signed else ''}.{digits}f}"
