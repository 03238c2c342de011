"""Files that are there whole or not at all, and JSON that any reader accepts."""

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from lmjax.errors import UserError


def write_atomically(path: Path, content: str | bytes) -> None:
    """Replaces the file at `path` by `content`; a crash leaves the old file or the new one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(temporary, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


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


def read_json(path: Path) -> Any:
    """The content of a JSON file; raises UserError if it is not valid JSON."""
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON ({error}); restore it or delete it") from error
