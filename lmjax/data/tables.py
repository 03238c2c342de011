"""Files of rows with named columns: .csv, .tsv and .jsonl, also .gz."""

import csv
import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmjax.data.reading import check_encoding, decode, read_bytes
from lmjax.errors import UserError
from lmjax.runs.files import MOST_BYTES, parse_json

SUFFIXES = (".csv", ".tsv", ".jsonl")


@dataclass(frozen=True)
class Row:
    """The texts of a row by column, without blanks about them, and the line that it begins in."""

    line: int
    cells: dict[str, str]  # columns without a value are lacking


@dataclass(frozen=True)
class Table:
    """The rows of a file, and the names of all its columns."""

    path: Path
    columns: tuple[str, ...]
    rows: list[Row]


def read_table(path: Path, invalid_utf8: str, report: Counter) -> Table:
    """The rows of a file; what reading changes is counted in `report`.

    The first line of a .csv or .tsv names the columns. In a .csv, texts with commas, quotation
    marks or line ends stand in quotation marks; in a .tsv, those are marks like any other. Raises
    UserError, naming the line, for what is no such row.
    """
    kind = path.suffixes[-2] if path.suffix == ".gz" and path.suffixes[1:] else path.suffix
    if kind not in SUFFIXES:
        raise UserError(f"{path} is not {', '.join(SUFFIXES)} (or those + .gz); convert it")
    content = read_bytes(path)
    report["bytes"] += len(content)
    check_encoding(content, str(path))
    text = decode(content, str(path), invalid_utf8, report)
    if kind == ".jsonl":
        rows = list(_objects(text, path))
        names = tuple({name: None for row in rows for name in row.cells})
        return Table(path, names, rows)
    return _separated(text, path, "," if kind == ".csv" else "\t")


def _separated(text: str, path: Path, delimiter: str) -> Table:
    quoting = csv.QUOTE_MINIMAL if delimiter == "," else csv.QUOTE_NONE
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, quoting=quoting, strict=True)
    csv.field_size_limit(MOST_BYTES)
    header: tuple[str, ...] = ()
    rows: list[Row] = []
    end = 0
    try:
        for cells in reader:
            line, end = end + 1, reader.line_num
            if not cells:
                continue
            if not header:
                header = tuple(cell.strip() for cell in cells)
                continue
            if len(cells) != len(header):
                cure = (
                    "put quotation marks around texts with commas"
                    if delimiter == ","
                    else ("take tabs out of texts")
                )
                raise UserError(
                    f"line {line} of {path} has {len(cells)} columns, and the first line names "
                    f"{len(header)}; {cure}"
                )
            values = ((name, cell.strip()) for name, cell in zip(header, cells, strict=True))
            rows.append(Row(line, {name: value for name, value in values if value}))
    except csv.Error as error:
        raise UserError(
            f"line {reader.line_num} of {path} is no row of a {path.suffix} ({error}); mend it"
        ) from error
    if len(set(header)) < len(header):
        repeated, _ = Counter(header).most_common(1)[0]
        raise UserError(f"{path} has two columns {repeated[:80]!r}; name one of them otherwise")
    return Table(path, header, rows)


def _objects(text: str, path: Path) -> Iterator[Row]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            value = parse_json(line.encode())
        except ValueError as error:
            raise UserError(
                f"line {number} of {path} is not JSON ({error}); one object a line is needed"
            ) from error
        if not isinstance(value, dict):
            raise UserError(f'line {number} of {path} must look like {{"text": "...", ...}}')
        cells = {name: _text(item) for name, item in value.items()}
        yield Row(number, {name: cell for name, cell in cells.items() if cell})


def _text(value: Any) -> str:
    """A value as text: a number as it is written, true and false in words; nothing for a list."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        return str(value).strip()
    return ""
