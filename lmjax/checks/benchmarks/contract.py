"""What every benchmark is: a case that is measured, in turns with other programs, into a table."""

import json
import math
import shlex
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from lmjax.errors import UserError
from lmjax.runs.environment import core_count
from lmjax.runs.signals import undone_at_the_end


@dataclass(frozen=True)
class Turns:
    """How a case is measured: `rounds` turns of every program, of `steps` steps each."""

    peers: tuple[str, ...] = ()  # other programs: each a Python file and its flags
    python: str = sys.executable  # that runs them
    steps: int = 1
    rounds: int = 3
    profile: Path | None = None  # a folder for traces
    tell: Callable[[str], object] = str  # is given what is being measured


@dataclass(frozen=True)
class Result:
    """What was measured of a case: rows with the same columns, and what is to be said of them."""

    case: str
    about: str
    rows: list[dict[str, Any]]
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Case:
    """Something that is measured, by a name."""

    name: str
    takes_peers: ClassVar[bool] = False
    has_profile: ClassVar[bool] = False
    takes_steps: ClassVar[bool] = True
    takes_rounds: ClassVar[bool] = True
    steps_of_a_turn: ClassVar[int] = 1  # unless told otherwise

    @property
    def about(self) -> str:
        """What is measured, with its sizes, in one line."""
        raise NotImplementedError

    def measure(self, turns: Turns) -> Result:
        """The measurement; raises UserError for a peer that fails or prints no timing."""
        raise NotImplementedError


def in_turns(
    run: Callable[[], float], turns: Turns, flags: dict[str, Any], unit: str
) -> tuple[list[dict[str, Any]], list[str]]:
    """A row for lmjax, whose `run` gives milliseconds a `unit`, and for each peer; notes of them.

    A peer is told the sizes by `flags`, `--steps` and `--threads`; the last line that it prints is
    JSON with `ms_per_step`, its median. Rows are of such medians of turns; `theirs / ours` is of
    their medians: above 1 ours is the faster. Raises UserError for a peer that can't be started,
    fails or prints no timing.
    """
    flags = flags | {"steps": turns.steps, "threads": core_count()}
    commands = {peer: _command(peer, flags, turns.python) for peer in turns.peers}
    own: list[float] = []
    theirs: list[list[float]] = [[] for _ in turns.peers]
    told: dict[str, str] = {}
    for turn in range(turns.rounds):
        title = f"turn {turn + 1} of {turns.rounds}"
        turns.tell(f"{title}: lmjax")
        own.append(statistics.median(run() for _ in range(turns.steps)))
        for times, (peer, command) in zip(theirs, commands.items(), strict=True):
            turns.tell(f"{title}: {peer}")
            printed = _run_peer(peer, command)
            times.append(printed.pop("ms_per_step"))
            told[peer] = ", ".join(f"{name} {value}" for name, value in printed.items())
    rows = [_row("lmjax", own, unit)]
    median = rows[0][f"ms a {unit}"]
    for peer, times in zip(turns.peers, theirs, strict=True):
        row = _row(peer, times, unit)
        rows.append(row | {"theirs / ours": statistics.median(times) / median})
    notes = [f"medians of {turns.rounds} turns of {turns.steps} measurements each"]
    return rows, notes + [f"{peer}: {line}" for peer, line in told.items()]


def run_program(command: list[str]) -> subprocess.CompletedProcess:
    """What a program printed; it ends when this process is ended."""
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, errors="replace")
    with process, undone_at_the_end(process.kill):
        output, trouble = process.communicate()
    return subprocess.CompletedProcess(command, process.returncode, output, trouble)


def _row(program: str, turns: list[float], unit: str) -> dict[str, Any]:
    return {
        "program": program,
        f"ms a {unit}": statistics.median(turns),
        "fastest turn": min(turns),
        "slowest turn": max(turns),
        "theirs / ours": None,
    }


def _command(peer: str, flags: dict[str, Any], python: str) -> list[str]:
    try:
        file, *own = shlex.split(peer)
    except ValueError as error:
        raise UserError(f"--peer={peer!r} is no file and flags ({error}); mend it") from error
    if not Path(file).is_file():
        raise UserError(f"the peer {peer!r}: there is no file {file}; name a Python program")
    if not shutil.which(python):
        raise UserError(f"--python={python}: there is no such program; name an interpreter")
    given = [f"--{name}" if value is True else f"--{name}={value}" for name, value in flags.items()]
    return [python, file, *own, *given]


def _run_peer(peer: str, command: list[str]) -> dict[str, Any]:
    done = run_program(command)
    lines = (done.stderr or done.stdout).strip().splitlines()
    reason = lines[-1] if lines else "it printed nothing"
    if done.returncode:
        raise UserError(f"the peer {peer!r} failed with exit code {done.returncode}: {reason}")
    try:
        printed = json.loads(done.stdout.strip().splitlines()[-1])
        milliseconds = float(printed["ms_per_step"])
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise UserError(f"the peer {peer!r} gave no timing: {reason}") from error
    if not (math.isfinite(milliseconds) and milliseconds > 0):
        raise UserError(f"the peer {peer!r} gave {milliseconds} milliseconds; mend it")
    return printed | {"ms_per_step": milliseconds}
