"""A study's runs as an array of Slurm jobs: a script to be submitted, or submitted by submitit."""

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from rich.console import Console

from lmjax.errors import Stopped, UserError, writing
from lmjax.runs.files import write_atomically
from lmjax.runs.run_directory import RunDirectory
from lmjax.runs.terminal import progress_bar, say
from lmjax.studies.failures import Failure, read_failure
from lmjax.studies.work import Failures, Runs, grouped, read_job, train_folders, write_jobs

SCRIPT = """#!/bin/bash
{options}#SBATCH --array=0-{last}
#SBATCH --output={folder}/%a.log
cd {here}
exec {python} -m lmjax work --jobs={jobs} --index="$SLURM_ARRAY_TASK_ID"
"""


@dataclass(frozen=True)
class SlurmScript:
    """Writes a script that trains what is left, and stops there; `options` are those of sbatch."""

    options: str
    replicas: int = 1

    def __call__(self, runs: Runs, workdir: Path, console: Console) -> Failures:
        left = {path: run for path, run in runs.items() if not RunDirectory(path).is_finished}
        if not left:
            return dict.fromkeys(runs)
        groups = grouped(left, self.replicas)
        folder = (workdir / "slurm").absolute()
        jobs, script = write_jobs(folder, groups), folder / "array.sh"
        options = " ".join(self.options.split("\n")).strip()
        if options and not options.startswith("-"):
            raise UserError(f"--slurm={options!r} is no option of sbatch; give '--partition=gpu'")
        text = SCRIPT.format(
            options=f"#SBATCH {options}\n" if options else "",
            last=len(groups) - 1,
            folder=shlex.quote(str(folder)),
            here=shlex.quote(str(Path.cwd())),
            python=shlex.quote(sys.executable),
            jobs=shlex.quote(str(jobs)),
        )
        with writing(script):
            write_atomically(script, text)
        raise Stopped(
            f"{len(left)} runs are left, as {len(groups)} jobs: submit them by `sbatch {script}` "
            "and, when they have ended, give the same command again: it goes on with what they "
            "trained",
            exit_code=0,
        )


@dataclass(frozen=True)
class Submitit:
    """Submits the array and waits for it; `cluster` is `slurm` or, for trials, `local`."""

    cluster: str
    options: str = ""  # of submitit's executor, as `timeout_min=60,slurm_partition=gpu`
    replicas: int = 1

    def __call__(self, runs: Runs, workdir: Path, console: Console) -> Failures:
        groups = grouped(runs, self.replicas)
        jobs = write_jobs(workdir / "submitit", groups)
        fields, submitit = _fields(self.options), _submitit()
        try:
            executor = submitit.AutoExecutor(folder=jobs.parent / "%j", cluster=self.cluster)
            executor.update_parameters(name=workdir.name, **fields)
        except (NameError, RuntimeError, TypeError, ValueError) as error:
            given = f"{self.cluster}:{self.options}".rstrip(":")
            raise UserError(f"submitit refuses {given!r}: {error}") from error
        indices = range(len(groups))
        submitted = executor.map_array(_work, [str(jobs)] * len(groups), indices)
        failures = {}
        with progress_bar(console, "runs", len(runs)) as advance:
            for job, group in zip(submitted, groups, strict=True):
                error = job.exception()
                for path in group:
                    lost = Failure(f"its job ended without it: {error}; see {job.paths.stderr}")
                    is_done = RunDirectory(path).is_finished
                    failures[path] = None if is_done else read_failure(path) or lost
                    told = failures[path].line if failures[path] else "done"
                    say(console, f"{path.relative_to(workdir)}: {told}")
                    advance()
        return failures


def _work(jobs: str, index: int) -> None:
    train_folders(read_job(Path(jobs), index), Console())


def _submitit() -> ModuleType:
    try:
        import submitit
    except ImportError as error:
        raise UserError(
            "submitit is not installed; `pip install lmjax[slurm]`, or use --slurm, which writes a "
            "script"
        ) from error
    return submitit


def _fields(options: str) -> dict[str, str | int]:
    fields = {}
    for option in filter(None, options.split(",")):
        name, equals, value = option.partition("=")
        if not equals:
            raise UserError(f"--submitit's option {option!r} is no NAME=VALUE; give it a value")
        fields[name] = int(value) if value.isdecimal() else value
    return fields
