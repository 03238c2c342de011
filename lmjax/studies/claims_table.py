"""Claims as tables: on the terminal, and in the README between two marks."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich import box
from rich.table import Table
from rich.text import Text

from lmjax.errors import UserError, writing
from lmjax.runs.files import read_whole, write_atomically
from lmjax.studies.claim_results import ClaimResult, differences, shown, verdict
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
        judged = Text(f"{numbers}: {verdict(claim, result)}")  # in which no [ ] is markup
        table.add_row(claim.id, claim.tier, judged)
    return table


def one_table(claim: Claim, result: ClaimResult | None) -> Table:
    """A claim with all that is known of it, and what was measured."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_header=False)
    rows = {
        "claim": f"{claim.variant} ({', '.join(filter(None, (claim.paper, claim.table)))})",
        "of": f"{claim.corpus}, {claim.metric}",
        "published": _published(claim),
        "read in": f"{claim.certainty}: {claim.where}",
        "measured": measured(claim, result),
        "difference": _differences(claim, result),
        "tolerance": "" if claim.tolerance is None else f"± {claim.tolerance:g}",
        "context": _facts(result, "context"),
        "scored targets": _facts(result, "targets"),
        "verdict": verdict(claim, result),
    }
    for name, text in rows.items():
        if text:
            table.add_row(name, Text(text))
    return table


def readme_table(pairs: Pairs) -> str:
    """The claims that were measured, as Markdown."""
    lines = [
        "| claim | published | measured here | difference (tolerated) | verdict |",
        "|---|---|---|---|---|",
    ]
    done = [(claim, result) for claim, result in pairs if result and claim.tolerance]
    for claim, result in done:
        name = NAMES.get(claim.corpus, claim.corpus), NAMES.get(claim.metric, claim.metric)
        cells = (
            f"{' '.join(name)}: {claim.variant} ({_short(claim.paper)})",
            _published(claim),
            measured(claim, result),
            f"{_differences(claim, result)} ({claim.tolerance:g})",
            verdict(claim, result),
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
    """The measured means with half of their 95 % intervals, and of how many seeds."""
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
    n = len(result.runs)
    seeds = (
        f", {n} seed{'s' if n > 1 else ''}" if all(seed.isdecimal() for seed in result.runs) else ""
    )
    return _joined(claim, means) + seeds


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
