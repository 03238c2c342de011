"""Claims as tables: on the terminal, and in the README between two marks."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from lmjax.errors import UserError, writing
from lmjax.runs.files import read_whole, write_atomically
from lmjax.studies.claim_results import ClaimResult, differences, remarks, shown, verdict
from lmjax.studies.claims import Claim

BEGIN, END = "<!-- claims: begin -->", "<!-- claims: end -->"
MOST_BYTES = 1 << 20
NAMES = {  # of corpora and metrics, for people
    "ptb": "PTB",
    "tiny_shakespeare": "Shakespeare",
    "multi30k": "Multi30k German to English",
    "sts_benchmark": "STS benchmark",
    "nats_per_token": "nats a token",
    "bits_per_byte": "bits a byte",
    "bits_per_character": "bits a character",
    "bleu": "BLEU",
    "spearman": "Spearman",
}

Pairs = Sequence[tuple[Claim, ClaimResult | None]]


def list_table(pairs: Pairs) -> Table:
    """All claims, a row each; narrow enough for a terminal of 80 columns."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("id", no_wrap=True)
    table.add_column("tier", no_wrap=True)
    table.add_column("published, measured: verdict", overflow="fold")
    for claim, result in pairs:
        parts = (
            f"{claim.metric} {_published(claim)}".strip(),
            "" if claim.is_verified else "unverified",
            f"measured {measured(claim, result)}" if result else "",
        )
        numbers = ", ".join(filter(None, parts))
        judged = Text(f"{numbers}: {_judged(claim, result)}")  # in which no [ ] is markup
        table.add_row(claim.id, claim.tier, judged)
    return table


def one_table(claim: Claim, result: ClaimResult | None) -> Table:
    """A claim with all that is known of it, and what was measured."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_header=False)
    rows = {
        "claim": f"{claim.variant} ({', '.join(filter(None, (claim.paper, claim.table)))})",
        "of": f"{claim.corpus}, {claim.metric}",
        "published": _published(claim),
        "status": "" if claim.status == "runnable" else claim.status,
        "read in": f"{claim.certainty}: {claim.where}",
        "measured": measured(claim, result),
        "difference": _differences(claim, result),
        "tolerance": "" if claim.tolerance is None else f"± {claim.tolerance:g}",
        "context": _facts(result, "context"),
        "scored targets": _facts(result, "targets"),
        "how": _how(result),
        "verdict": verdict(claim, result),
        "why": remarks(claim, result),
    }
    for name, text in rows.items():
        if text:
            table.add_row(name, Text(text))
    return table


def readme_table(pairs: Pairs) -> str:
    """The claims that were measured, as Markdown."""
    lines = [
        "| claim | published | measured here | difference (tolerated) | how | verdict |",
        "|---|---|---|---|---|---|",
    ]
    done = [(claim, result) for claim, result in pairs if result and claim.tolerance]
    for claim, result in done:
        name = NAMES.get(claim.corpus, claim.corpus), NAMES.get(claim.metric, claim.metric)
        cells = (
            f"{' '.join(name)}: {claim.variant} ({_short(claim.paper)})",
            _published(claim),
            measured(claim, result),
            f"{_differences(claim, result)} ({claim.tolerance:g})",
            _how(result),
            _judged(claim, result),
        )
        lines.append(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |")
    lines += [
        "",
        f"`lmjax reproduce --list` shows the other {len(pairs) - len(done)} claims, with what each "
        "needs.",
    ]
    return "\n".join(lines)


def with_table(text: str, table: str, path: Path) -> str:
    """The text of a README with the table between its marks; raises UserError if it lacks them."""
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise UserError(f"{path} has not the lines {BEGIN} and {END}, once each; add them")
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n{table}\n{END}{rest.partition(END)[2]}"


def write_readme(path: Path, pairs: Pairs) -> bool:
    """Puts the table into a README; returns whether that changed it. Raises as `with_table`."""
    text = read_whole(path, MOST_BYTES).decode()
    new = with_table(text, readme_table(pairs), path)
    if new != text:
        with writing(path):
            write_atomically(path, new)
    return new != text


def measured(claim: Claim, result: ClaimResult | None) -> str:
    """The measured means with half of their 95 % intervals."""
    if result is None:
        return ""
    means = {
        name: shown(part.summary.mean, claim.metric)
        + (
            f" ± {shown(part.summary.half_width, claim.metric)}"
            if part.summary.half_width is not None
            else ""
        )
        for name, part in result.parts.items()
    }
    return _joined(claim, means)


def _judged(claim: Claim, result: ClaimResult | None) -> str:
    return ": ".join(filter(None, (verdict(claim, result), remarks(claim, result))))


def _how(result: ClaimResult | None) -> str:
    """How many seeds, minutes, date, device and commit, or that it is not on record."""
    if result is None:
        return ""
    runs = list(result.runs.values())
    several = "s" if len(runs) > 1 else ""
    minutes = [run["minutes"] for run in runs if run.get("minutes") is not None]
    mean = sum(minutes) / len(minutes) if minutes else 0.0
    facts = {
        "minutes": f"{mean:.{0 if mean >= 10 else 2}f} min{' each' if several else ''}"
        if minutes
        else "",
        "date": _distinct(run.get("measured_on") for run in runs),
        "device": _distinct(_device(run) for run in runs),
        "commit": _distinct(_commit(run) for run in runs),
    }
    lacking = [name for name, text in facts.items() if not text]
    texts = [text for text in facts.values() if text]
    if all(seed.isdecimal() for seed in result.runs):
        texts.insert(0, f"{len(runs)} seed{several}")
    if lacking:
        texts.append(f"{'/'.join(lacking)} not on record")
    return ", ".join(texts)


def _device(run: Mapping[str, Any]) -> str:
    kinds = [name.partition(": ")[2] for name in run.get("devices") or ()]
    if set(kinds) != {"cpu"}:
        return _distinct(kinds)
    cores = run.get("cores")
    return f"{cores} CPU core{'s' if cores > 1 else ''}" if cores else "CPU"


def _commit(run: Mapping[str, Any]) -> str:
    commit = run.get("commit")
    return f"{commit[:7]}{' with changes' if run.get('dirty') else ''}" if commit else ""


def _distinct(texts: Iterable[str | None]) -> str:
    return " and ".join(dict.fromkeys(filter(None, texts)))


def _published(claim: Claim) -> str:
    return _joined(claim, {name: f"{value:g}" for name, value in claim.published.items()})


def _differences(claim: Claim, result: ClaimResult | None) -> str:
    if result is None:
        return ""
    found = differences(claim, result)
    return " / ".join(shown(value, claim.metric, signed=True) for value in found.values())


def _facts(result: ClaimResult | None, what: str) -> str:
    facts = [getattr(part, what) for part in result.parts.values()] if result else []
    texts = [f"{fact:,}" if isinstance(fact, int) else fact for fact in facts if fact is not None]
    return " / ".join(dict.fromkeys(texts))


def _joined(claim: Claim, texts: Mapping[str, str]) -> str:
    """`120.7 / 114.5 (validation / test)`; of a single number of test, that alone."""
    names = "" if list(claim.published) == ["test"] else f" ({' / '.join(texts)})"
    return " / ".join(texts.values()) + names if texts else ""


def _short(paper: str) -> str:
    """Authors and year alone, where there is a year."""
    found = re.match(r".*?\b\d{4}\b", paper)
    return found[0] if found else paper
