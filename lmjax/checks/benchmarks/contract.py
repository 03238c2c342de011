"""What every benchmark is: a case that is measured, in turns with other programs, into a table."""

import json
import shlex
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from lmjax.errors import UserError
from lmjax.runs.environment import core_count


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
    JSON with `ms_per_step`, its median. `theirs / ours` is of medians: above 1 ours is the faster.
    """
    flags = flags | {"steps": turns.steps, "threads": core_count()}
    own: list[float] = []
    theirs: list[list[float]] = [[] for _ in turns.peers]
    told: dict[str, str] = {}
    for turn in range(turns.rounds):
        title = f"turn {turn + 1} of {turns.rounds}"
        turns.tell(f"{title}: lmjax")
        own += [run() for _ in range(turns.steps)]
        for times, peer in zip(theirs, turns.peers, strict=True):
            turns.tell(f"{title}: {peer}")
            printed = _run_peer(peer, flags, turns.python)
            times.append(printed.pop("ms_per_step"))
            told[peer] = ", ".join(f"{name} {value}" for name, value in printed.items())
    rows = [_row("lmjax", own, len(own), unit)]
    median = rows[0][f"ms a {unit}"]
    for peer, times in zip(turns.peers, theirs, strict=True):
        row = _row(peer, times, turns.steps * turns.rounds, unit)
        rows.append(row | {"theirs / ours": statistics.median(times) / median})
    return rows, [f"{peer}: {line}" for peer, line in told.items()]


def _row(program: str, times: list[float], count: int, unit: str) -> dict[str, Any]:
    return {
        "program": program,
        f"ms a {unit}": statistics.median(times),
        "fastest": min(times),
        "slowest": max(times),
        "measured": count,
        "theirs / ours": None,
    }


def _run_peer(peer: str, flags: dict[str, Any], python: str) -> dict[str, Any]:
    given = [f"--{name}" if value is True else f"--{name}={value}" for name, value in flags.items()]
    done = subprocess.run([python, *shlex.split(peer), *given], capture_output=True, text=True)
    try:
        printed = json.loads(done.stdout.strip().splitlines()[-1])
        return printed | {"ms_per_step": float(printed["ms_per_step"])}
    except (ValueError, KeyError, IndexError, TypeError) as error:
        reason = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["it printed nothing"]
        raise UserError(f"the peer {peer!r} gave no timing: {reason[0]}") from error
