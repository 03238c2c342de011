"""Runs every arm of a study with every seed: what is finished is skipped, the rest resumed."""

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict
from rich.console import Console
from rich.text import Text

from lmjax.api import load
from lmjax.errors import InUseError, UserError
from lmjax.runs.files import inside, to_json, write_atomically
from lmjax.runs.lock import only_writer
from lmjax.runs.run_directory import RunDirectory
from lmjax.runs.secrets import redact
from lmjax.runs.signals import StopSignals
from lmjax.studies.matching import is_counted
from lmjax.studies.records import ERROR_FILE, STUDY_FILE, read_study, read_study_file
from lmjax.studies.study import Arm, Study
from lmjax.training.run import train

Train = Callable[[ConfigDict, Path, Console], Any]
Continue = Callable[[Path, str, int], str]  # run directory, prompt, tokens -> continuation


def continue_prompt(path: Path, prompt: str, length: int) -> str:
    """How the model of a run directory goes on after `prompt`, for `length` tokens."""
    return load(path).generate(prompt, length=length)


def run_study(
    study: Study,
    workdir: Path,
    *,
    console: Console,
    train: Train = train,
    continue_prompt: Continue = continue_prompt,
) -> list[str]:
    """Trains what is not finished, lets each arm continue the prompt, returns what failed.

    Runs lie in `workdir/arms/<arm>/[<choice>/]seed_<n>`. A failure is written into its run
    directory and does not keep the others from running. A counted arm draws nothing at random, so
    the first seed is enough. Raises UserError, before anything is trained, if `workdir` holds
    another study or a run of another configuration, is being written by another process, or can't
    be written to.
    """
    with StopSignals(), only_writer(workdir):
        return _run_study(study, workdir, console, train, continue_prompt)


def _run_study(
    study: Study, workdir: Path, console: Console, train: Train, continue_prompt: Continue
) -> list[str]:
    file = workdir / STUDY_FILE
    if file.exists() and (other := read_study_file(workdir)["name"]) != study.name:
        raise UserError(
            f"{workdir} holds the study {other!r}, not {study.name!r}; choose another --workdir"
        )
    runs = {}
    for arm in study.arms:
        seeds = study.seeds[:1] if is_counted(arm) else study.seeds
        runs |= planned_runs(arm, workdir, seeds)
    for path, arm in runs.items():
        RunDirectory(path).create(arm.config)
    write_atomically(file, to_json(_study_file(study), indent=2))
    failures = []

    def attempt(path: Path, do: Callable, *arguments) -> None:
        try:
            do(*arguments)
            (path / ERROR_FILE).unlink(missing_ok=True)
        except InUseError as error:  # what lies there is another process's
            failures.append(f"failed: {error}")
            console.print(failures[-1], markup=False, style="red")
        except Exception as error:
            failures.append(_keep_failure(path, error))
            console.print(failures[-1], markup=False, style="red")

    for number, (path, arm) in enumerate(runs.items(), start=1):
        name = f"{arm.name}, {path.relative_to(workdir / 'arms')}"
        console.rule(Text(f"{number} of {len(runs)}: {name}"), align="left")
        attempt(path, train, arm.config, path, console)
    for arm in read_study(workdir).arms:
        for run in arm.finished[:1]:
            if not run.sample:
                attempt(run.path, _write_sample, run.path, study, continue_prompt)
    return failures


def _write_sample(path: Path, study: Study, continue_prompt: Continue) -> None:
    text = continue_prompt(path, study.prompt, study.continuation_length)
    RunDirectory(path).write_samples(study.prompt + text)


def planned_runs(arm: Arm, workdir: Path, seeds: tuple[int, ...]) -> dict[Path, Arm]:
    """The run directory of each choice and seed of an arm, with the configuration it is to run.

    Raises UserError for a choice of which no folder can be named.
    """
    return {
        inside(
            workdir / "arms", "/".join(filter(None, (arm.folder, choice, f"seed_{seed}")))
        ): candidate.with_fields({"seed": seed})
        for choice, candidate in arm.candidates().items()
        for seed in seeds
    }


def _study_file(study: Study) -> dict[str, Any]:
    """What a report needs to know beside the run directories."""
    return {
        "name": study.name,
        "question": study.question,
        "baseline": study.baseline,
        "matched": study.matched,
        "prompt": study.prompt,
        "seeds": study.seeds,
        "arms": [(arm.name, arm.folder) for arm in study.arms],
    }


def _keep_failure(path: Path, error: Exception) -> str:
    """Writes a line that says what failed, for an error of the program with its traceback."""
    lines = [redact(str(error))]
    if not isinstance(error, UserError):
        first_line = (lines[0].splitlines() or [""])[0]
        trace = redact("".join(traceback.format_exception(error)))
        lines = [f"{type(error).__name__}: {first_line}", "", trace]
    write_atomically(path / ERROR_FILE, "\n".join(lines))
    return f"failed: {lines[0]} ({path / ERROR_FILE})"
