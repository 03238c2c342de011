"""How a run of a study failed, kept in its folder until it is tried again."""

import traceback
from dataclasses import dataclass
from pathlib import Path

from lmjax.errors import DivergedError, UserError
from lmjax.runs.files import read_whole, write_atomically
from lmjax.runs.secrets import redact

ERROR_FILE = "error.txt"
DIVERGED = "diverged: "  # how the text of a training that diverged begins
MOST_BYTES = 1 << 20


@dataclass(frozen=True)
class Failure:
    """Why a run has no results: a line, and whether it is that its training diverged."""

    line: str
    diverged: bool = False


def keep_failure(path: Path, error: Exception) -> Failure:
    """Writes what failed into a folder, for an error of the program with its traceback."""
    lines = [redact(str(error))]
    if isinstance(error, DivergedError):
        lines[0] = f"{DIVERGED}{lines[0]}"
    elif not isinstance(error, UserError):
        first_line = (lines[0].splitlines() or [""])[0]
        trace = redact("".join(traceback.format_exception(error)))
        lines = [f"{type(error).__name__}: {first_line}", "", trace]
    path.mkdir(parents=True, exist_ok=True)
    write_atomically(path / ERROR_FILE, "\n".join(lines))
    return Failure(lines[0].removeprefix(DIVERGED), lines[0].startswith(DIVERGED))


def read_failure(path: Path) -> Failure | None:
    """What is kept in a folder, if anything is."""
    file = path / ERROR_FILE
    if not file.exists():
        return None
    line = read_whole(file, MOST_BYTES).decode(errors="replace").partition("\n")[0]
    return Failure(line.removeprefix(DIVERGED), line.startswith(DIVERGED))


def forget_failure(path: Path) -> None:
    (path / ERROR_FILE).unlink(missing_ok=True)
