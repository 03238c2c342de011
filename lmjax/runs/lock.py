"""One writer to a folder: a lock that names its owner, and that ends with its owner's process."""

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from lmjax.errors import InUseError, writing
from lmjax.runs.signals import undone_at_the_end

LOCK_FILE = "lock.json"


@contextmanager
def only_writer(folder: Path) -> Iterator[str | None]:
    """Holds `folder`, made if need be, for this process; yields a line if a dead owner had it.

    The kernel's lock decides between processes of one machine, whatever clocks and process numbers
    say. Raises InUseError, naming the owner, if it lives or can't be known to be dead, and where
    the folder can't be written to.
    """
    path = folder / LOCK_FILE
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        file = _opened(path)
    if file is None:
        raise InUseError(
            f"{folder} is being written by {_described(_owner(path))}; wait for it to end, stop "
            "it, or choose another --workdir"
        )
    with os.fdopen(file, "wb", buffering=0):
        before = _owner(path)
        if before and before.get("host") != socket.gethostname():
            raise InUseError(
                f"{folder} is held by {_described(before)}, and this machine can't see whether "
                f"that lives; if it is gone, delete {path}"
            )
        with writing(path):
            os.truncate(file, 0)
            os.write(file, json.dumps(_myself()).encode())
            os.fsync(file)
        with undone_at_the_end(lambda: _release(file, path)):
            try:
                yield f"taken over from {_described(before)}, which is gone" if before else None
            finally:
                _release(file, path)


def _opened(path: Path) -> int | None:
    """The file at `path`, made if need be and locked; None if another process has it locked."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return None
        # The owner before may have deleted the file between the two calls.
        if path.exists() and os.path.samestat(os.fstat(file), os.stat(path)):
            return file
        os.close(file)


def _release(file: int, path: Path) -> None:
    with suppress(OSError):  # what is left of a lock is taken over
        if os.path.samestat(os.fstat(file), os.stat(path)):
            path.unlink()


def _myself() -> dict[str, str | int]:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return {"host": socket.gethostname(), "process": os.getpid(), "started": now}


def _owner(path: Path) -> dict:
    try:
        owner = json.loads(path.read_bytes()[:4096])
    except (OSError, ValueError, RecursionError):
        return {}
    return owner if isinstance(owner, dict) else {}


def _described(owner: dict) -> str:
    if not owner:
        return "another process"
    return f"process {owner.get('process')} on {owner.get('host')} since {owner.get('started')}"
