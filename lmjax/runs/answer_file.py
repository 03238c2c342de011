"""A file of answers, one a line, that is begun, broken off anywhere and gone on with."""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from lmjax.errors import InUseError, UserError, writing
from lmjax.runs.files import parse_json, plain, read_json, to_json, write_atomically


class AnswerFile:
    """Answers in JSON, a whole line each whenever the program ends.

    Beside it lies a hidden file that says what they are made with, so that no answers of another
    model are gone on with.
    """

    def __init__(self, path: Path, made_with: dict[str, Any]):
        """Holds the file until this object is gone.

        Raises UserError for one that is there and was not begun with the same, and InUseError for
        one that another program holds.
        """
        self.path = path
        self._about = path.with_name(f".{path.name}.made_with.json")
        made_with = plain(made_with)
        if path.exists():
            kept = read_json(self._about) if self._about.exists() else None
            if kept != made_with:
                why = "was not begun by this command" if kept is None else _other(kept, made_with)
                raise UserError(f"{path} is there already and {why}; delete it or give another")
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._held = _held(path)
            write_atomically(self._about, to_json(made_with, indent=1))
            self._end_after_the_last_whole_line()

    def answers(self) -> Iterator[dict[str, Any]]:
        """Those that are kept, in their order; raises UserError for a line that is none."""
        with open(self.path, "rb") as file:
            for number, line in enumerate(file, start=1):
                try:
                    yield dict(parse_json(line))
                except (ValueError, TypeError) as error:
                    raise UserError(
                        f"line {number} of {self.path} is no answer ({error}); delete the file"
                    ) from error

    def add(self, answers: list[dict[str, Any]]) -> None:
        """Writes whole lines at the end."""
        with writing(self.path), open(self.path, "ab", buffering=0) as file:
            write_whole(file.fileno(), "".join(to_json(answer) + "\n" for answer in answers))

    def _end_after_the_last_whole_line(self) -> None:
        with open(self.path, "ab+") as file:
            size = position = file.seek(0, os.SEEK_END)
            while position:
                begin = max(0, position - (1 << 16))
                file.seek(begin)
                newline = file.read(position - begin).rfind(b"\n")
                if newline >= 0:
                    position = begin + newline + 1
                    break
                position = begin
            if position < size:
                file.truncate(position)


def _held(path: Path) -> BinaryIO:
    """The file, made if need be, that no other program may add answers to."""
    file = open(path, "ab")  # noqa: SIM115 (open as long as its owner lives)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise InUseError(
            f"{path} is being written by another program; wait for it to end, or give another"
        ) from None
    return file


def write_whole(descriptor: int, text: str) -> None:
    """Writes all of a text, in parts where the file takes no more at once."""
    rest = memoryview(text.encode())
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _other(kept: Any, made_with: dict[str, Any]) -> str:
    kept = kept if isinstance(kept, dict) else {}
    names = [name for name in made_with if kept.get(name) != made_with[name]]
    return f"made with another {' and '.join(names) or 'command'}"
