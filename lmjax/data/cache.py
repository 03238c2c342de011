"""Where prepared data is kept, and how it comes to be there: complete or not at all."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

from lmjax.errors import UserError


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
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
        try:
            build(temporary)
            _rename_unless_there(temporary, folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise UserError(
            f"cannot write {folder}: {error.strerror or error}; "
            "set LMJAX_CACHE_DIR to a folder with room that you may write"
        ) from error
    return folder


def _rename_unless_there(temporary: Path, folder: Path) -> None:
    try:
        os.rename(temporary, folder)
    except OSError:
        if not folder.is_dir():
            raise
