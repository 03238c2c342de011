"""Where prepared data is kept, and how it comes to be there: complete or not at all."""

import json
import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

from lmjax.errors import UserError
from lmjax.runs.files import new_folder


def cache_directory() -> Path:
    """`$LMJAX_CACHE_DIR`, else `~/.cache/lmjax`."""
    return Path(os.environ.get("LMJAX_CACHE_DIR") or Path.home() / ".cache" / "lmjax")


def key_of(description: Any) -> str:
    """A short name for anything that JSON can say; equal for equal things."""
    return sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()[:16]


def build_once(folder: Path, build: Callable[[Path], None]) -> Path:
    """`folder`, filled by `build(temporary folder)` and renamed if it is not there yet.

    Of two processes that build the same folder at a time, the first to finish wins and the other
    takes its result. Raises UserError where the folder cannot be written.
    """
    if folder.is_dir():
        return folder
    try:
        new_folder(folder, build)
    except OSError as error:
        if folder.is_dir():
            return folder
        raise UserError(
            f"cannot write {folder}: {error.strerror or error}; "
            "set LMJAX_CACHE_DIR to a folder with room that you may write"
        ) from error
    return folder
