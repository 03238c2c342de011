"""Who read the test split of a study's runs, and when: what is chosen after it, is chosen by it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lmjax.runs.files import read_whole
from lmjax.runs.run_directory import files_named
from lmjax.runs.terminal import printable

READS_FILE = "test_reads.jsonl"
LARGEST_LOG = 1 << 20  # bytes


def read_log(run: Path) -> list[Mapping[str, Any]]:
    """A row for each time that the test split of a run was read; what can't be read is one, too.

    Reads of another corpus, which the rows of answers to other tasks name, are none.
    """
    file = run / READS_FILE
    if not file.exists():
        return []
    lines = read_whole(file, LARGEST_LOG).decode(errors="replace").splitlines()
    rows = [_row(line) for line in lines if line.strip()]
    return [row for row in rows if "corpus" not in row]


def count_reads(folder: Path) -> int:
    """How often the test split was read of all runs below a folder."""
    return sum(len(read_log(file.parent)) for file in files_named(READS_FILE, folder))


def readers(reads: Sequence[Mapping[str, Any]]) -> str:
    """Who read, each named once."""
    names = dict.fromkeys(str(read.get("reader", "an unknown reader")) for read in reads)
    return printable(", ".join(names))


def _row(line: str) -> Mapping[str, Any]:
    try:
        row = json.loads(line)
    except ValueError:
        return {}
    return row if isinstance(row, dict) else {}
