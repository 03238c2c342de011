"""What ends a program other than success, and the search for what was probably meant."""

import difflib
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

# What to do about numbers that went wrong.
LOWER = "in another --workdir, lower training.learning_rate or set training.clip_norm"
LONGEST_MESSAGE = 300  # characters of another error's message


class UserError(Exception):
    """A mistake that its message says how to mend; printed without a traceback."""

    exit_code = 2


class DivergedError(UserError):
    """Numbers that are no longer finite: training went wrong, not the program."""


class InUseError(UserError):
    """A folder that another process is writing to."""


class DeviceError(UserError):
    """A device that failed or has too little memory; what was saved before is intact."""

    exit_code = 69  # EX_UNAVAILABLE of sysexits.h


def failure_of_file(path: Path | str, error: BaseException) -> str:
    """`FILE, line 3: NameError: ...`: where a Python file that was executed failed, and how."""
    if isinstance(error, SyntaxError) and error.filename == str(path):
        line, what = error.lineno, error.msg
    else:
        frames = traceback.extract_tb(error.__traceback__)
        line = next((f.lineno for f in reversed(frames) if f.filename == str(path)), None)
        what = described(error)
    return f"{path}, line {line}: {what}" if line else f"{path}: {what}"


def described(error: BaseException) -> str:
    """The type of an error and its message, in one line."""
    message = " ".join(str(error).split())[:LONGEST_MESSAGE]
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


PREEMPTED = 75  # exit code, EX_TEMPFAIL of sysexits.h: saved, the same command goes on
KILLED = 137  # exit code, as of a process killed: not saved, goes on from the checkpoint before
INTERRUPTED = 130  # exit code, as a shell gives it for Ctrl-C: likewise


class Stopped(BaseException):
    """A run that was asked to stop, and saved where it was; the same command goes on."""

    def __init__(self, message: str, exit_code: int):
        super().__init__(message)
        self.exit_code = exit_code


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raises UserError, naming `path` and the cause, if what it encloses can't write there."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"cannot write to {path} ({error.strerror or error}); choose another --workdir, or "
            "mend that and give the same command again"
        ) from error


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint for a mistyped `name`: the closest of `known`, then all of them."""
    known = sorted(known)
    close = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}(known: {', '.join(known)})"
