"""The table of a run's metrics, one JSON object a line, none of them twice."""

import os
from pathlib import Path
from typing import Any

from lmjax.errors import UserError, writing
from lmjax.runs.fields import check_fields, is_count, is_text, is_text_or_nothing
from lmjax.runs.files import parse_json, read_whole, to_json, write_atomically

Row = dict[str, Any]
ROW = {
    "kind": is_text,
    "step": is_count,
    "split": is_text_or_nothing,
    "context": is_text_or_nothing,
}


class MetricsFile:
    """`metrics.jsonl`: rows with a `kind` and a `step`, in the order in which they were logged.

    A last line without its newline is one that a crash tore; it does not count.
    """

    def __init__(self, path: Path):
        self.path = path
        self._logged: set[tuple] | None = None

    def rows(self) -> list[Row]:
        """All rows; raises UserError, with its number, for a line that is not a JSON object."""
        if not self.path.exists():
            return []
        *lines, _torn = read_whole(self.path).split(b"\n")
        return [self._parse(number, line) for number, line in enumerate(lines, start=1)]

    def append(self, row: Row) -> None:
        """Adds a row; raises ValueError if its kind, split and context have one of that step.

        Raises UserError if it can't be written. A part that was written is removed before the next
        row is added.
        """
        if self._logged is None:
            self.truncate()
        if _key(row) in self._logged:
            raise ValueError(f"{self.path} already has the row {_key(row)}")
        logged, self._logged = self._logged, None
        line = to_json(row).encode() + b"\n"
        # Unbuffered: closing a buffered file that failed writes its bytes a second time.
        with writing(self.path), open(self.path, "ab", buffering=0) as file:
            if file.write(line) < len(line):
                raise OSError("the disk took a part of a row")
            os.fsync(file.fileno())
        logged.add(_key(row))
        self._logged = logged

    def truncate(self, last_steps: dict[str, int] | None = None) -> None:
        """Drops a torn last line, and the rows after the last step given for their kind."""
        last = last_steps or {}
        rows = [row for row in self.rows() if row["step"] <= last.get(row["kind"], row["step"])]
        kept = "".join(to_json(row) + "\n" for row in rows).encode()
        if self.path.exists() and self.path.read_bytes() != kept:
            with writing(self.path):
                write_atomically(self.path, kept)
        self._logged = {_key(row) for row in rows}

    def _parse(self, number: int, line: bytes) -> Row:
        source = f"{self.path}, line {number}"
        try:
            row = parse_json(line)
        except ValueError as error:
            raise UserError(
                f"{source}: not a row of metrics ({error}); delete the line or the run"
            ) from error
        check_fields(row, ROW, source)
        return row


def _key(row: Row) -> tuple:
    return row["kind"], row.get("split"), row.get("context"), row["step"]
