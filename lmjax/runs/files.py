"""Files that are there whole or not at all, and JSON that any reader accepts and none fears."""

import base64
import json
import math
import os
import re
import stat
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import unquote

import numpy as np

from lmjax.errors import UserError

MOST_BYTES = 1 << 30  # of any file that is read whole
MOST_JSON_BYTES = 16 << 20  # of a JSON text: as Python's objects it can take ten times that
MOST_JSON_MARKS = 2_000_000  # commas and brackets, which say how many objects it becomes
MOST_JSON_DEPTH = 100  # brackets within brackets
LONGEST_NAME = 255  # bytes, of one part of a path

JSON_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
NO_JSON_MARK = bytes(set(range(256)) - set(b",[]{}"))
DEEPER = np.zeros(256, np.int8)
DEEPER[list(b"[{")], DEEPER[list(b"]}")] = 1, -1


def write_atomically(path: Path, content: str | bytes) -> None:
    """Replaces the file at `path` by `content`; a crash, also of the power, leaves old or new.

    A link stays, and what it leads to is replaced. A device or a pipe is written to.
    """
    path = Path(os.path.realpath(path))
    data = content.encode() if isinstance(content, str) else content
    if path.exists() and not path.is_file():
        path.write_bytes(data)
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        temporary.unlink(missing_ok=True)


def new_folder(folder: Path, build: Callable[[Path], None]) -> None:
    """Makes `folder` by `build(temporary folder)`: it is there whole or not at all.

    Raises OSError where it can't be written, also if it is there by then and not empty.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as temporary:
        inner = Path(temporary) / "whole"  # with the rights of a folder that is not temporary
        inner.mkdir()
        build(inner)
        os.rename(inner, folder)


def regular_size(path: Path) -> int:
    """The bytes of a regular file; raises UserError if it is something else or not to be had."""
    try:
        status = path.stat()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; see that it is there") from error
    if not stat.S_ISREG(status.st_mode):
        raise UserError(f"{path} is no regular file; copy what it gives into one")
    return status.st_size


def read_whole(path: Path, limit: int = MOST_BYTES) -> bytes:
    """The content of a regular file.

    Raises UserError if it is something else, larger than `limit` bytes or not to be read.
    """
    size = regular_size(path)
    if size > limit:
        raise UserError(f"{path} has {size:,} bytes, over the limit of {limit:,}; cut it")
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; see that it is there") from error


def inside(root: Path, name: str) -> Path:
    """`root / name` for a name that comes out of a file.

    Raises UserError for a name that may lead out of `root`, also by a symbolic link.
    """
    parts = name.split("/")
    plain_name = (
        name.isprintable()
        and "\\" not in name
        and unquote(name) == name
        and not any(part in ("", ".", "..") or len(part.encode()) > LONGEST_NAME for part in parts)
    )
    try:
        if plain_name and (root / name).resolve().is_relative_to(root.resolve()):
            return root / name
    except (OSError, RuntimeError):  # links in a circle
        pass
    raise UserError(f"{name[:80]!r} is no name of something in {root}; mend what names it")


def to_json(value: Any, *, indent: int | None = None) -> str:
    """`value` as strict JSON: tuples are lists, NaN and infinities are null.

    NumPy and JAX scalars count as numbers; raises TypeError for what JSON has no form for.
    """
    return json.dumps(plain(value), indent=indent, ensure_ascii=False, allow_nan=False)


def plain(value: Any) -> Any:
    """`value` as what reading its JSON would give."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.generic) or getattr(value, "shape", None) == ():
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def array_to_json(array: np.ndarray) -> dict[str, Any]:
    """An array as JSON takes it without a loss: shape, dtype and the bytes in base 64."""
    content = base64.b64encode(np.ascontiguousarray(array)).decode()
    return {"shape": array.shape, "dtype": array.dtype.str, "base64": content}


def array_from_json(value: Any, dtype: Any) -> np.ndarray:
    """The array of `dtype` that `array_to_json` wrote; raises ValueError if it is none."""
    try:
        if np.dtype(value["dtype"]) != dtype:
            raise ValueError(f"an array of {value['dtype']!r}, not of {np.dtype(dtype).str!r}")
        content = base64.b64decode(value["base64"], validate=True)
        return np.frombuffer(content, dtype).reshape(value["shape"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"no array: {error}") from error


def read_json(path: Path, cure: str = "restore it or delete it") -> Any:
    """The content of a JSON file.

    Raises UserError, with the `cure`, if `parse_json` refuses it, and if it is no file.
    """
    content = read_whole(path, MOST_JSON_BYTES)
    try:
        return parse_json(content)
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON ({error}); {cure}") from error


def parse_json(content: bytes, *, lenient: bool = False, most_bytes: int | None = None) -> Any:
    """The value of a JSON text in UTF-8, in bounded time and memory.

    Raises ValueError for a text that is too long, too deep or of too many values, that repeats a
    key of an object, and, unless `lenient`, for a number that is not finite and for half of a
    surrogate pair, which no file can hold. `lenient`: all numbers become floats.
    """
    limit = MOST_JSON_BYTES if most_bytes is None else most_bytes
    if len(content) > limit:
        raise ValueError(f"{len(content):,} bytes, over the limit of {limit:,}")
    marks = JSON_STRING.sub(b"", content).translate(None, NO_JSON_MARK)
    if len(marks) > MOST_JSON_MARKS:
        raise ValueError(f"{len(marks):,} commas and brackets, over the limit {MOST_JSON_MARKS:,}")
    if len(marks) > MOST_JSON_DEPTH:
        depth = np.cumsum(DEEPER[np.frombuffer(marks, np.uint8)], dtype=np.int32).max()
        if depth > MOST_JSON_DEPTH:
            raise ValueError(
                f"{depth:,} brackets within brackets, over the limit {MOST_JSON_DEPTH}"
            )
    value = json.loads(
        content.decode(),
        object_pairs_hook=_object,
        parse_float=float if lenient else _finite,
        parse_int=float if lenient else _integer,
        parse_constant=float if lenient else _finite,
    )
    if rb"\u" in content and not lenient:
        to_json(value).encode()
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        repeated, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise ValueError(f"the key {repeated[:80]!r} is there twice")
    return value


def _integer(digits: str) -> int:
    _finite(digits)  # before the conversion, which takes the square of the digits in time
    return int(digits)


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{digits[:20]} is no finite number")
    return number
