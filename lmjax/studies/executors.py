"""Where a study's runs are trained: one group after another here, or side by side in processes."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import jax
from rich.console import Console
from rich.text import Text

from lmjax.errors import writing
from lmjax.runs.run_directory import RunDirectory
from lmjax.runs.signals import undone_at_the_end
from lmjax.runs.terminal import progress_bar, say
from lmjax.studies.failures import Failure, read_failure
from lmjax.studies.work import Failures, Runs, grouped, train_group, write_jobs
from lmjax.training.run import train

SECONDS_BETWEEN_LOOKS = 0.2


class Executor(Protocol):
    """Trains runs of a study in `workdir`, whose folders are made; keeps in them what fails."""

    def __call__(self, runs: Runs, workdir: Path, console: Console) -> Failures:
        """Whatever becomes of one run, the others are trained."""


@dataclass(frozen=True)
class InTurn:
    """In this process; at most `replicas` runs in one program (0: as many as have room)."""

    replicas: int = 1
    train: Callable = train  # a run that is alone in its program

    def __call__(self, runs: Runs, workdir: Path, console: Console) -> Failures:
        failures, number = {}, 0
        for group in grouped(runs, self.replicas):
            names = [path.relative_to(workdir).as_posix() for path in group]
            last = f" to {number + len(names)}" if len(names) > 1 else ""
            title = f"{number + 1}{last} of {len(runs)}: {', '.join(names)}"
            console.rule(Text(title), align="left")
            failures |= train_group(group, console, self.train)
            number += len(names)
        return failures


@dataclass(frozen=True)
class Processes:
    """In `count` processes of this machine, which share its cores or GPUs among them."""

    count: int
    replicas: int = 1

    def __call__(self, runs: Runs, workdir: Path, console: Console) -> Failures:
        groups = grouped(runs, self.replicas or -(-len(runs) // self.count))
        folder = workdir / "processes"
        jobs = write_jobs(folder, groups)
        waiting, failures = list(enumerate(groups)), {}
        working: dict[int, tuple[int, subprocess.Popen]] = {}  # by place: index, process
        ends = undone_at_the_end(lambda: _stop([process for _, process in working.values()]))
        try:
            with ends, progress_bar(console, "runs", len(runs)) as advance:
                while waiting or working:
                    for place in range(self.count):
                        if place not in working and waiting:
                            index, _ = waiting.pop(0)
                            working[place] = index, self._start(jobs, index, place)
                    time.sleep(SECONDS_BETWEEN_LOOKS)
                    for place, (index, process) in list(working.items()):
                        if process.poll() is None:
                            continue
                        del working[place]
                        ended = self._ended(groups[index], index, process, folder)
                        for path, failure in ended.items():
                            told = failure.line if failure else "done"
                            say(console, f"{path.relative_to(workdir)}: {told}")
                        failures |= ended
                        advance(len(ended))
        finally:
            _stop([process for _, process in working.values()])
        return failures

    def _start(self, jobs: Path, index: int, place: int) -> subprocess.Popen:
        command = [sys.executable, "-m", "lmjax", "work", f"--jobs={jobs}", f"--index={index}"]
        log = jobs.with_name(f"{index}.log")
        with writing(log), open(log, "wb") as output:
            return subprocess.Popen(
                [*command, "--with_parent", f"--cores={_cores(place, self.count)}"],
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # a terminal's Ctrl-C is for this process to pass on
                env={**os.environ, **_devices(place)},
            )

    def _ended(
        self, group: Sequence[Path], index: int, process: subprocess.Popen, folder: Path
    ) -> Failures:
        """What became of the runs of a process, as their folders tell."""
        lost = Failure(
            f"its process ended with code {process.returncode} before it did, see "
            f"{folder / f'{index}.log'}; the same command goes on"
        )
        return {
            path: None if RunDirectory(path).is_finished else read_failure(path) or lost
            for path in group
        }


def _stop(processes: Sequence[subprocess.Popen]) -> None:
    """Asks processes to save and stop, and waits until they have; a signal's handler may call it.

    `Popen.wait` could wait for ever there, for a lock that was held when the signal came.
    """
    for process in processes:
        process.terminate()
    for process in processes:
        with suppress(ChildProcessError):
            os.waitpid(process.pid, 0)


def _devices(place: int) -> dict[str, str]:
    """The environment in which a process finds its share of the GPUs."""
    if jax.default_backend() != "gpu":
        return {}
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    named = [name for name in visible if name] or [str(gpu.id) for gpu in jax.local_devices()]
    return {"CUDA_VISIBLE_DEVICES": named[place % len(named)]}


def _cores(place: int, count: int) -> str:
    """The share of a process in the cores; none in particular if each can't have one."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    return ",".join(map(str, cores[place::count])) if len(cores) >= count else ""
