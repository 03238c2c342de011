"""Trains runs that lie ready in their folders, alone or as replicas of one program.

What other processes are to train is listed in a file, group by group; `lmjax work` trains one.
"""

import gc
import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict
from rich.console import Console

from lmjax.errors import InUseError, UserError, writing
from lmjax.runs.fields import check_fields, is_text
from lmjax.runs.files import read_json, to_json, write_atomically
from lmjax.runs.run_directory import RunDirectory
from lmjax.runs.terminal import say
from lmjax.studies.failures import Failure, forget_failure, keep_failure
from lmjax.training.run import train
from lmjax.training.together import shared_program, train_together

Runs = Mapping[Path, ConfigDict]
Failures = dict[Path, Failure | None]  # of each run that was to be trained; None: it has results


def grouped(runs: Runs, most: int = 0) -> list[dict[Path, ConfigDict]]:
    """The runs that one program trains, in groups of at most `most` (0: of all that can be)."""
    by_program: dict[Any, dict[Path, ConfigDict]] = {}
    for path, config in runs.items():
        program = shared_program(config) if most != 1 else None
        by_program.setdefault(program or path, {})[path] = config
    groups = []
    for members in by_program.values():
        paths, size = list(members), most or len(members)
        for start in range(0, len(paths), size):
            groups.append({path: members[path] for path in paths[start : start + size]})
    return groups


def train_group(runs: Runs, console: Console, train: Callable = train) -> Failures:
    """Trains runs that one program can train; what fails is kept in the folder of its run."""
    if len(runs) > 1:
        outcomes = _attempt(lambda: train_together(runs, console))
    else:
        ((path, config),) = runs.items()
        outcomes = _attempt(lambda: {path: train(config, path, console)})
    if isinstance(outcomes, Exception):
        outcomes = dict.fromkeys(runs, outcomes)
    gc.collect()  # the command line looks rarely for cycles, and they may hold a run's arrays
    return {path: _kept(path, outcome) for path, outcome in outcomes.items()}


def _attempt(do: Callable) -> Any:
    try:
        return do()
    except Exception as error:
        return error


def _kept(path: Path, outcome: Any) -> Failure | None:
    if isinstance(outcome, InUseError):  # what lies there is another process's
        return Failure(str(outcome))
    if isinstance(outcome, Exception):
        return keep_failure(path, outcome)
    forget_failure(path)
    return None


def train_folders(paths: Sequence[str], console: Console) -> None:
    """Trains the runs of these folders, as far as they are not done, with what they keep."""
    runs = {Path(path): RunDirectory(path).config() for path in paths}
    for path, failure in train_group(runs, console).items():
        say(console, f"{path}: {failure.line if failure else 'done'}")


def write_jobs(folder: Path, groups: Sequence[Runs]) -> Path:
    """A file that lists the folders of each group, for other processes; returns its path."""
    folders = [[str(run.absolute()) for run in group] for group in groups]
    text = to_json(folders, indent=2)
    # Jobs that still wait read the list that they were made of, whatever is written since.
    path = folder / f"jobs-{hashlib.sha256(text.encode()).hexdigest()[:8]}.json"
    with writing(path):
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text)
    return path


def read_job(file: Path, index: int) -> list[str]:
    """The folders of one group; raises UserError if there is no such file or group."""
    if not file.exists():
        raise UserError(f"{file} does not exist; `lmjax study` with --jobs or --slurm writes it")
    groups = read_json(file)
    check_fields({"groups": groups}, {"groups": [[is_text]]}, file)
    if not 0 <= index < len(groups):
        raise UserError(f"{file} has groups 0 to {len(groups) - 1}, and none of index {index}")
    return groups[index]
