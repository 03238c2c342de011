"""What this machine has room for, and whether a folder can really be written to."""

import os
import shutil
import tempfile
from pathlib import Path

from lmjax.errors import UserError
from lmjax.runs.files import write_atomically

CONTENT = bytes(range(256)) * 256


def memory() -> tuple[int, int] | None:
    """Bytes of memory that are free, and all; None on a system that does not tell."""
    if "SC_AVPHYS_PAGES" not in os.sysconf_names:
        return None
    page = os.sysconf("SC_PAGE_SIZE")
    return os.sysconf("SC_AVPHYS_PAGES") * page, os.sysconf("SC_PHYS_PAGES") * page


def standing(folder: Path) -> Path:
    """`folder`, or what there is of the path to it."""
    return next(path for path in [folder, *folder.absolute().parents] if os.path.exists(path))


def free_disk(folder: Path) -> int:
    """Bytes that may still be written below `folder`, whether it is there yet or not."""
    return shutil.disk_usage(standing(folder)).free


def try_writing(folder: Path) -> None:
    """Writes, syncs, renames, reads back and removes a file where `folder` is or will be.

    Raises UserError if any of it fails.
    """
    place = standing(folder)
    try:
        with tempfile.TemporaryDirectory(dir=place, prefix=".lmjax-doctor-") as temporary:
            file = Path(temporary, "file")
            write_atomically(file, CONTENT)
            unchanged = file.read_bytes() == CONTENT
    except OSError as error:
        raise UserError(
            f"{place} cannot be written to ({error.strerror or error}); "
            "change its permissions, make room or choose another folder"
        ) from error
    if not unchanged:
        raise UserError(f"{place} does not give back what was written; choose another disk")
