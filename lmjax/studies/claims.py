"""Published numbers, each with its recipe, where it was read, and what it takes to run it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from lmjax.errors import UserError, nearest
from lmjax.evaluation.score import VIEWS
from lmjax.runs.fields import (
    check_fields,
    is_count,
    is_number,
    is_positive_number,
    is_text,
    is_true_or_false,
)
from lmjax.runs.files import read_whole

CLAIMS_FILE = Path("experiments/claims.yaml")
MOST_BYTES = 1 << 20
CERTAINTIES = ("source file", "issue thread", "compilation", "memory")
TIERS = ("cpu", "gpu10", "gpu30", "big")
STATUSES = ("runnable", "by command", "needs", "not reproducible", "infeasible")
MEASURED = (*VIEWS, "accuracy", "bleu", "spearman")  # what a run can be measured by
ID = re.compile(r"[a-z0-9]+(_[a-z0-9]+)*")


@dataclass(frozen=True)
class Claim:
    """One row of a paper: what was published, and what became of it here."""

    id: str
    number: int  # of the list that it comes from; several claims may share one
    paper: str
    variant: str
    corpus: str
    metric: str
    published: Mapping[str, float]  # by split, or by what else its numbers are told apart
    certainty: str  # where it was read: one of CERTAINTIES
    where: str
    tier: str  # what it takes: one of TIERS
    status: str  # one of STATUSES
    table: str = ""
    reason: str = ""  # why it is not runnable
    experiment: str = ""  # FILE.py[:argument]
    tolerance: float | None = None  # of the metric; what still counts as reproduced
    tolerance_from: str = ""  # what the tolerance comes from, if it wasn't set before
    command: str = ""  # what measures it if its status is `by command`
    why: str = ""  # what is known of a verdict's cause, what isn't, and what would tell
    reference: Mapping[str, float] = field(default_factory=dict)  # measured by another program
    reference_from: str = ""  # by which
    measure: Mapping[str, Any] = field(default_factory=dict)  # beside the metric: see MEASURE
    cost: Mapping[str, float] = field(default_factory=dict)  # flops, tokens, minutes

    @property
    def is_verified(self) -> bool:
        """Whether its numbers were read somewhere, so that a verdict may be drawn against them."""
        return self.certainty != "memory"


MEASURE = {  # how a published number was measured
    "cache": is_true_or_false,  # with a unigram cache, tuned on validation
    "random_batches": is_count,  # over batches of random windows; so many are a draw
    "beam": is_count,  # translations by a beam search of this width; 1: greedy
}
COST = {"flops": is_positive_number, "tokens": is_positive_number, "minutes": is_positive_number}
TEXTS = tuple(item.name for item in fields(Claim) if item.type is str)
DEFAULTS = {
    item.name: item.default if item.default is not MISSING else {}
    for item in fields(Claim)
    if item.default is not MISSING or item.default_factory is not MISSING
}


def load_claims(path: Path = CLAIMS_FILE) -> list[Claim]:
    """The claims of a file, in its order.

    Raises UserError, naming the claim and the field, for what is missing, unknown or cannot be.
    """
    claims: dict[str, Claim] = {}
    for number, group in enumerate(_groups(path), start=1):
        shared = {name: value for name, value in group.items() if name != "claims"}
        for entry in group["claims"]:
            claim = _claim({**shared, **entry}, path, f"group {number}")
            if claim.id in claims:
                raise UserError(f"{path}: claim {claim.id!r} is there twice; rename one of them")
            claims[claim.id] = claim
    return list(claims.values())


def find_claim(claims: Sequence[Claim], claim_id: str) -> Claim:
    """The claim with an id; raises UserError, with the nearest one, if there is none."""
    by_id = {claim.id: claim for claim in claims}
    if claim_id not in by_id:
        near = (
            nearest(claim_id, by_id).partition("(known")[0] or "`lmjax reproduce --list` shows all"
        )
        raise UserError(f"there is no claim {claim_id!r}: {near.strip()}")
    return by_id[claim_id]


def _groups(path: Path) -> list[dict[str, Any]]:
    try:
        groups = _UniqueKeys(read_whole(path, MOST_BYTES)).get_single_data()
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(f"{path} is no YAML: {' '.join(str(error).split())}; mend it") from error
    check_fields({"groups": groups}, {"groups": [{"claims": [{}]}]}, path, cure="mend it")
    return groups


class _UniqueKeys(yaml.SafeLoader):
    """Refuses a key that is given twice, of which YAML would silently take the last."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                where = f"line {node.start_mark.line + 1}"
                raise yaml.YAMLError(f"the key {key!r} is there twice in the entry of {where}")
        return super().construct_mapping(node, deep)


def _claim(given: dict[str, Any], path: Path, place: str) -> Claim:
    source = f"{path}: claim {given.get('id') or f'without an id in {place}'}"
    known = [item.name for item in fields(Claim)]
    for name in given:
        if name not in known:
            raise UserError(f"{source} has an unknown field {name!r}: {nearest(str(name), known)}")
    # A claim takes back what its group says by giving no value.
    values = {name: value for name, value in given.items() if value is not None}
    if missing := [name for name in known if name not in values and name not in DEFAULTS]:
        raise UserError(f"{source} lacks {', '.join(missing)}; add it")
    values = DEFAULTS | values
    check_fields(
        values,
        {
            **dict.fromkeys(TEXTS, is_text),
            "number": is_count,
            "published": {...: is_number},
            "reference": {...: is_number},
            "measure": {...: _is_anything},
            "cost": {...: is_positive_number},
        },
        source,
        cure="mend it",
    )
    claim = Claim(**values)
    _check(claim, source, path.parent.parent)
    return claim


def _is_anything(value: Any) -> bool:
    return True


def _check(claim: Claim, source: str, root: Path) -> None:
    """Raises UserError for values that are of their types and yet cannot be."""
    if not ID.fullmatch(claim.id):
        raise UserError(f"{source}: an id has small letters, digits and _ between them; mend it")
    for name, known in (("certainty", CERTAINTIES), ("tier", TIERS), ("status", STATUSES)):
        if (value := getattr(claim, name)) not in known:
            raise UserError(f"{source}: unknown {name} {value!r}: {nearest(value, known)}")
    for name, known in (("measure", MEASURE), ("cost", COST)):
        for key, value in getattr(claim, name).items():
            if key not in known:
                raise UserError(f"{source}: unknown {name} {key!r}: {nearest(str(key), known)}")
            check_fields(value, known[key], source, f"{name}.{key}", "mend it")
    if claim.tolerance is not None:
        check_fields(claim.tolerance, is_positive_number, source, "tolerance", "mend it")
    if claim.experiment and not (root / claim.experiment.partition(":")[0]).is_file():
        raise UserError(f"{source}: there is no experiment {claim.experiment}; mend its path")
    if unknown := [name for name in claim.reference if name not in claim.published]:
        raise UserError(f"{source}: reference {unknown[0]!r} is of nothing published; mend it")
    if bool(claim.reference) != bool(claim.reference_from):
        raise UserError(f"{source}: reference and reference_from go together; give both")
    if (claim.status == "by command") != bool(claim.command):
        raise UserError(f"{source}: the status 'by command' and a command go together; give both")
    if claim.status != "runnable":
        if not claim.reason:
            raise UserError(f"{source}: its status is {claim.status!r}; add the reason")
        return
    lacking = [
        name for name in ("published", "experiment", "tolerance") if not getattr(claim, name)
    ]
    if lacking:
        raise UserError(f"{source} is runnable, but has no {', no '.join(lacking)}; add it")
    if claim.metric not in MEASURED:
        hint = nearest(claim.metric, MEASURED)
        raise UserError(f"{source} is runnable, but nothing measures {claim.metric!r}: {hint}")
