"""The folders of checkpoints, named after their steps: which count, and what else lies there."""

import os
import shutil
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

from lmjax.checkpoints.manifest import MANIFEST

ORBAX_COMMIT = "commit_success.txt"
DELETED = ".deleted"  # how the name of a checkpoint ends while it is deleted
OURS = {"_CHECKPOINT_METADATA", ORBAX_COMMIT, "params", "state", "about"}


def committed_steps(folder: Path) -> list[int]:
    """The steps of the committed checkpoints, ascending."""
    return sorted(int(path.name) for path in _numbered(folder) if _is_committed(path))


def clear_unfinished(folder: Path, say: Callable[[str], None]) -> None:
    """What a kill left of a save or a deletion goes; what is whole or not ours is moved aside.

    A folder that is whole but for its manifest was killed just before that was written, or has
    lost it: nobody can tell.
    """
    for path in folder.glob(f".*{DELETED}"):
        _remove(path)
    for path in _numbered(folder):
        if _is_committed(path):
            continue
        names = {entry.name for entry in path.iterdir()} if _is_step(path) else {"not a step"}
        if ORBAX_COMMIT in names and names <= OURS:
            aside = move_aside(path, "unvouched")
            say(f"{path} has no {MANIFEST}, so it does not count; moved to {aside.name}")
        elif all(map(_is_ours, names)):
            _remove(path)
        else:
            aside = move_aside(path, "foreign")
            say(f"{path} is no checkpoint; moved to {aside.name}")


def delete(path: Path) -> None:
    """Deletes a checkpoint, which is none any more from the first moment on."""
    doomed = path.with_name(f".{path.name}{DELETED}")
    os.rename(path, doomed)
    shutil.rmtree(doomed)


def move_aside(path: Path, reason: str) -> Path:
    """Gives a folder a name that is no step's; returns where it is now."""
    names = (f"{path.name}.{reason}{number or ''}" for number in count())
    asides = (path.with_name(name) for name in names)
    aside = next(aside for aside in asides if not os.path.lexists(aside))
    os.rename(path, aside)
    return aside


def _numbered(folder: Path) -> list[Path]:
    return [path for path in folder.glob("[0-9]*") if path.name.isdecimal()]


def _is_step(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink() and path.name == str(int(path.name))


def _is_committed(path: Path) -> bool:
    return _is_step(path) and (path / MANIFEST).is_file()


def _is_ours(name: str) -> bool:
    return name in OURS or name.startswith(f".{MANIFEST}")


def _remove(folder: Path) -> None:
    """Deletes a folder that a save which failed in this process may still be writing to."""
    for _ in range(20):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.05)
    shutil.rmtree(folder)
