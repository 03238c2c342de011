"""The corpus `labelled`: the user's own files of texts, or pairs of them, and labels or numbers."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lmjax.data.documents import SPLITS, Document, Splits, percentile
from lmjax.data.number_tokenizer import LARGEST, STEP
from lmjax.data.tables import Row, Table, read_table
from lmjax.errors import UserError, nearest

FAULTY = ("strict", "skip")
SHOWN = 5  # lines in a message


@dataclass(frozen=True)
class Reading:
    """How the files are read: names of columns, and what is done with rows that can't be used."""

    text: str
    second: str  # empty: texts are no pairs
    label: str
    numbers: bool  # labels are numbers, of which each may occur in one split alone
    faulty: str  # strict | skip
    invalid_utf8: str

    def columns(self) -> dict[str, str]:
        """What stands in which column, in words, by the field of config.data that names it."""
        found = {"text_column": self.text, "label_column": self.label}
        return found | ({"second_column": self.second} if self.second else {})


def files_of_splits(data) -> dict[str, Path]:
    """The files that `config.data` names, by split; raises UserError if they are none."""
    named = {"train": data.files, "validation": data.validation_files, "test": data.test_files}
    if not data.files:
        raise UserError(
            "the corpus 'labelled' needs data.files: a .csv, .tsv or .jsonl of texts and labels, "
            "whose columns data.text_column and data.label_column name"
        )
    if data.faulty_rows not in FAULTY:
        raise UserError(
            f"unknown data.faulty_rows {data.faulty_rows!r}: {nearest(data.faulty_rows, FAULTY)}"
        )
    files = {split: Path(name).expanduser() for split, name in named.items() if name}
    for path in files.values():
        if not path.is_file():
            raise UserError(
                f"{path} is no file; check data.files, data.validation_files and data.test_files"
            )
    return files


def read_labelled(files: Mapping[str, Path], reading: Reading) -> tuple[Splits, Counter]:
    """The documents of the file of each split; what is not there is split off the training file.

    That is about a tenth of it for validation and, if neither is there, one for test, by a hash of
    the text, so that no text is in two of them. The first text of each label is always trained on.
    Raises UserError, naming file, line and column, for rows that lack a label or a text, and for
    labels of validation or test that are not trained on.
    """
    report: Counter = Counter()
    parts = {split: _read(path, reading, report) for split, path in files.items()}
    if set(parts) == {"train"}:
        splits = _split(parts["train"], reading, (80, 90))
    elif "validation" not in parts:
        splits = {**_split(parts["train"], reading, (90, 100)), "test": parts["test"]}
    else:
        splits = {split: parts[split] for split in SPLITS if split in parts}
    for split, documents in splits.items():
        if not documents:
            raise UserError(
                f"{files.get(split, files['train'])} leaves no row for {split}; give more rows "
                "(about 100 do), or a file for each split"
            )
    if not reading.numbers:
        _check_labels(splits)
    report["rows"] = sum(map(len, splits.values()))
    return splits, report


def _read(path: Path, reading: Reading, report: Counter) -> list[Document]:
    table = read_table(path, reading.invalid_utf8, report)
    for field, column in reading.columns().items():
        if column not in table.columns:
            raise UserError(
                f"{path} has no column {column!r}, as data.{field} names it: "
                f"{nearest(column, table.columns)}; the first line of a .csv or .tsv names them"
            )
    documents: list[Document] = []
    faults: dict[str, list[int]] = {}
    for row in table.rows:
        if fault := _fault(row, reading):
            faults.setdefault(fault, []).append(row.line)
            continue
        pair = [row.cells[name] for name in (reading.text, reading.second) if name]
        label = row.cells[reading.label]
        documents.append(Document(f"{path.name}:{row.line}", label, *pair))
        if reading.numbers and round(_number(label) * STEP) / STEP != _number(label):
            report["rows whose label is rounded to thousandths"] += 1
    if faults and reading.faulty == "strict":
        raise UserError(_told(table, faults))
    for fault, lines in faults.items():
        report[f"rows {fault}, left out"] += len(lines)
    return documents


def _fault(row: Row, reading: Reading) -> str:
    """Why a row can't be used, in a few words; empty if it can."""
    if reading.label not in row.cells:
        return "without a label"
    if not {reading.text, reading.second or reading.text} <= row.cells.keys():
        return "with an empty text"
    if reading.numbers and not abs(_number(row.cells[reading.label])) <= LARGEST:
        return f"whose label is no number from -{LARGEST} to {LARGEST}"
    return ""


def _number(text: str) -> float:
    """Not a number (NaN) for a text that is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def _told(table: Table, faults: Mapping[str, list[int]]) -> str:
    count = sum(map(len, faults.values()))
    each = "; ".join(
        f"{len(lines):,} {fault} (line {', '.join(map(str, lines[:SHOWN]))}"
        f"{', ...' if len(lines) > SHOWN else ''})"
        for fault, lines in faults.items()
    )
    return (
        f"{count:,} of the {len(table.rows):,} rows of {table.path} can't be used: {each}; mend "
        "them or take them out, or set data.faulty_rows='skip', which counts them"
    )


def _split(documents: list[Document], reading: Reading, borders: tuple[int, int]) -> Splits:
    """By the hash of the text; what has the first text of a label is in train."""
    first: dict[str, tuple[str, ...]] = {}
    if not reading.numbers:
        for document in documents:
            first.setdefault(document.text, document.source_parts)
    trained = set(first.values())
    splits: Splits = {split: [] for split in SPLITS}
    for document in documents:
        place = percentile("\0".join(document.source_parts))
        split = SPLITS[sum(place >= border for border in borders)]
        splits["train" if document.source_parts in trained else split].append(document)
    return splits if borders[1] < 100 else {name: splits[name] for name in SPLITS[:2]}


def _check_labels(splits: Splits) -> None:
    known = {document.text for document in splits["train"]}
    for split, documents in splits.items():
        unseen = [document for document in documents if document.text not in known]
        if unseen:
            counts = Counter(document.text for document in unseen)
            first = {document.text: document.name for document in reversed(unseen)}
            each = ", ".join(
                f"{label[:80]!r} ({count:,}, the first in {first[label]})"
                for label, count in counts.most_common(SHOWN)
            )
            more = f" and {len(counts) - SHOWN:,} more" if len(counts) > SHOWN else ""
            raise UserError(
                f"{len(unseen):,} of the {len(documents):,} rows of {split} have labels that no "
                f"training row has: {each}{more}; add such rows to train, or mend or take out these"
            )
