"""Texts that are read line by line, however many there are, from a file or a pipe."""

import gzip
import os
import queue
import sys
import threading
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from lmjax.data.reading import SAMPLE, check_encoding
from lmjax.errors import UserError, nearest
from lmjax.runs.files import parse_json, to_json

PIPE = "-"  # the name of what is piped in
KINDS = {  # of JSON's values
    bool: "true or false",
    float: "a number",
    list: "a list",
    dict: "an object",
    type(None): "null",
}
EXACT = 2.0**53  # below it each integer is a float, as which it is read
MOST_BYTES = 16 << 20  # of a line
PATIENCE = 0.2  # seconds that a pipe may pause before what it has given is answered


@dataclass(frozen=True)
class Line:
    """A text to be answered to, perhaps the first of two; or the error why there is none."""

    name: str
    source: str
    second: str | None = None
    error: str = ""


@dataclass(frozen=True)
class Fields:
    """The names of a JSON object's fields that hold the text and, of pairs, the second one."""

    source: str = "source"
    second: str = "second"


def read_lines(name: str, fields: Fields | None = None) -> Iterator[Line]:
    """The lines of a file, .gz or not, or of what is piped in for `-`; memory is of one line.

    With `fields` each is a JSON object, else the text itself. What is no such object has an error
    in place of its text. Raises UserError for a file that can't be read, and for a line that is no
    UTF-8 or longer than MOST_BYTES.
    """
    with _opened(name) as file:
        for number, content in enumerate(iter(lambda: file.readline(MOST_BYTES + 1), b""), 1):
            place = f"line {number}"
            text = _decoded(content, f"{place} of {name}", first=number == 1)
            yield Line(place, text) if fields is None else _of_object(place, text, fields)


def count_lines(name: str) -> int:
    """How many lines `read_lines` gives of a file; raises UserError if it can't be read."""
    with _opened(name) as file:
        count, last = 0, b"\n"
        while chunk := file.read(SAMPLE):
            count, last = count + chunk.count(b"\n"), chunk
        return count + (not last.endswith(b"\n"))


def in_groups(lines: Iterable[Line], most: int) -> Iterator[list[Line]]:
    """So many lines at a time, the last ones perhaps fewer."""
    lines = iter(lines)
    while group := list(islice(lines, most)):
        yield group


def as_they_come(lines: Iterable[Line], most: int) -> Iterator[list[Line]]:
    """At most so many lines at a time, of what comes without a pause of PATIENCE seconds.

    They are read meanwhile, `most` of them ahead. Raises what reading them raises.
    """
    ahead: queue.Queue = queue.Queue(most)

    def read():
        try:
            for line in lines:
                ahead.put(line)
            ahead.put(None)
        except BaseException as error:  # told where the lines are taken
            ahead.put(error)

    threading.Thread(target=read, daemon=True).start()
    window, end = [], False
    while not end:
        try:
            given = ahead.get(timeout=PATIENCE if window else None)
        except queue.Empty:
            given, pauses = None, True
        else:
            pauses = False
            if isinstance(given, BaseException):
                raise given
            end = given is None
        if given is not None:
            window.append(given)
        if window and (end or pauses or len(window) == most):
            yield window
            window = []


@contextmanager
def _opened(name: str) -> Iterator[BinaryIO]:
    try:
        if name == PIPE:
            # Not `sys.stdin.buffer`, whose lock a thread that waits for it would hold at the end.
            with open(sys.stdin.fileno(), "rb", closefd=False) as file:
                yield file
            return
        if os.path.isdir(name):
            raise UserError(f"{name} is a folder; give a file of lines")
        with gzip.open(name) if Path(name).suffix == ".gz" else open(name, "rb") as file:
            yield file
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{name} is not a whole gzip file ({error}); fetch it again") from error
    except OSError as error:
        raise UserError(
            f"cannot read {name}: {error.strerror or error}; see that it is there"
        ) from error


def _decoded(content: bytes, place: str, first: bool) -> str:
    if len(content) > MOST_BYTES:
        raise UserError(f"{place} is longer than {MOST_BYTES:,} bytes; cut it")
    if first:
        check_encoding(content, place)
    try:
        text = content.decode("utf-8-sig" if first else "utf-8")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{place}: invalid UTF-8 at byte {error.start} ({error.reason}); mend it"
        ) from error
    return text.removesuffix("\n").removesuffix("\r")


def _of_object(place: str, text: str, fields: Fields) -> Line:
    try:
        given = parse_json(text.encode(), lenient=True)
        if "\\u" in text:
            to_json(given).encode()
    except UnicodeEncodeError as error:
        half = repr(error.object[error.start])
        error = f"{place} has {half}, half of a surrogate pair, which no file can hold; mend it"
        return Line(place, "", error=error)
    except ValueError as error:
        return Line(place, "", error=f"{place} is not JSON ({error}); one object a line is needed")
    if not isinstance(given, dict):
        return Line(place, "", error=f'{place} must look like {{"{fields.source}": "..."}}')
    name = given.get("name", place)
    if isinstance(name, float) and name.is_integer() and abs(name) < EXACT:
        name = str(int(name))
    name = name if isinstance(name, str) else place
    source, second = given.get(fields.source), given.get(fields.second)
    if fields.source not in given:
        found = f"no text {fields.source!r}: {nearest(fields.source, map(str, given))}"
        return Line(name, "", error=f"{place} has {found}")
    if not isinstance(source, str):
        return Line(name, "", error=_no_text(fields.source, place, source))
    if second is not None and not isinstance(second, str):
        return Line(name, source, error=_no_text(fields.second, place, second))
    return Line(name, source, second)


def _no_text(field: str, place: str, value: Any) -> str:
    return f"{field!r} of {place} is {KINDS[type(value)]}, not a text"
