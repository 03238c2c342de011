"""Runs a study: tunes every arm alike, trains it with every seed, reads the test split at the end.

What is finished is skipped, the rest resumed.
"""

import traceback
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict
from rich.console import Console
from rich.text import Text

from lmjax import api
from lmjax.data.dataset import open_dataset
from lmjax.errors import DivergedError, InUseError, UserError
from lmjax.runs.files import inside, to_json, write_atomically
from lmjax.runs.lock import only_writer
from lmjax.runs.run_directory import STUDY_FILE, RunDirectory
from lmjax.runs.secrets import redact
from lmjax.runs.signals import StopSignals
from lmjax.studies.matching import is_counted
from lmjax.studies.records import ERROR_FILE, read_study, read_study_file
from lmjax.studies.study import Arm, Study
from lmjax.studies.tuning import (
    TUNING_FILE,
    check_same,
    choose,
    planned_trials,
    read_trials,
    read_tuning,
    write_tuning,
)
from lmjax.training.run import train


def score_test(path: Path) -> None:
    """Adds the score of the test split to a run's results, if its corpus has one, once."""
    run = RunDirectory(path)
    if "test" not in run.results()["splits"] and "test" in open_dataset(run.config().data).splits:
        api.evaluate(path, split="test", reader="lmjax study, after all training")


def continue_prompt(path: Path, prompt: str, length: int) -> str:
    """How the model of a run directory goes on after `prompt`, for `length` tokens."""
    return api.load(path).generate(prompt, length=length)


@dataclass(frozen=True)
class Actions:
    """What a study does to a run directory."""

    train: Callable[[ConfigDict, Path, Console], Any] = train
    score_test: Callable[[Path], None] = score_test
    continue_prompt: Callable[[Path, str, int], str] = continue_prompt


def run_study(
    study: Study, workdir: Path, *, console: Console, actions: Actions | None = None
) -> list[str]:
    """Does what of the study is not done yet; returns what failed.

    Trials lie in `workdir/tuning/<arm>/<values>`, runs in `workdir/arms/<arm>/[<choice>/]seed_<n>`.
    A failure is written into its run directory and does not keep the others from running; a trial
    that diverged has lost, and is no failure. A counted arm draws nothing at random, so it is not
    tuned and the first seed is enough. Raises UserError, before anything is trained, if `workdir`
    holds another study or a run, is being written by another process, or can't be written to.
    """
    if (workdir / "config.json").exists():
        raise UserError(f"{workdir} holds a run, not a study; choose another --workdir")
    with StopSignals(), only_writer(workdir):
        return _StudyRun(study, workdir, console, actions or Actions()).run()


class _StudyRun:
    def __init__(self, study: Study, workdir: Path, console: Console, actions: Actions):
        self.study, self.workdir, self.console, self.actions = study, workdir, console, actions
        self.failures: list[str] = []

    def run(self) -> list[str]:
        file = self.workdir / STUDY_FILE
        if file.exists() and (name := read_study_file(self.workdir)["name"]) != self.study.name:
            raise UserError(
                f"{self.workdir} holds the study {name!r}, not {self.study.name!r}; "
                "choose another --workdir"
            )
        tuned = self._tuned_arms()
        trials = {arm.name: self._trials(arm) for arm in tuned}
        runs = {arm.name: self._runs(arm) for arm in self.study.arms if arm not in tuned}
        write_atomically(file, to_json(_study_file(self.study), indent=2))
        for arm in tuned:
            chosen = self._tune(arm, trials[arm.name])
            if chosen:
                runs[arm.name] = self._runs(arm.with_fields(chosen))
                self._tell_runs(arm, runs[arm.name])
        self._train(runs)
        for arm, record in zip(self.study.arms, read_study(self.workdir).arms, strict=True):
            planned = {path.resolve(): run for path, run in runs.get(arm.name, {}).items()}
            finished = [run for run in record.finished if run.path in planned]
            if self._is_decided(planned) and not record.damaged:
                for run in finished:
                    self._attempt(run.path, self.actions.score_test, run.path)
            if finished and not finished[0].sample:
                self._write_sample(finished[0].path)
        return self.failures

    def _tuned_arms(self) -> list[Arm]:
        return [arm for arm in self.study.arms if self.study.tuning and not is_counted(arm)]

    def _trials(self, arm: Arm) -> dict[Path, Arm]:
        trials = planned_trials(arm, self.study.tuning, self.workdir)
        if kept := read_tuning(self._tuning_folder(arm)):
            check_same(kept, arm, self.study.tuning, self._tuning_folder(arm))
            _check_kept(
                planned_runs(arm.with_fields(kept["chosen"]), self.workdir, self.study.seeds)
            )
        _create(trials)
        return trials

    def _runs(self, arm: Arm) -> dict[Path, Arm]:
        seeds = self.study.seeds[:1] if is_counted(arm) else self.study.seeds
        runs = planned_runs(arm, self.workdir, seeds)
        _create(runs)
        return runs

    def _tuning_folder(self, arm: Arm) -> Path:
        return inside(self.workdir / "tuning", arm.folder)

    def _tune(self, arm: Arm, trials: dict[Path, Arm]) -> dict[str, Any]:
        """The fields that validation chose; none if a trial has yet to be given again."""
        folder, tuning = self._tuning_folder(arm), self.study.tuning
        if kept := read_tuning(folder):
            return kept["chosen"]
        over = []
        for number, (path, trial) in enumerate(trials.items(), start=1):
            self._title(f"tuning, {number} of {len(trials)}: {arm.name}, {path.name}")
            arguments = trial.config, path, self.console
            over.append(self._attempt(path, self.actions.train, *arguments, lost=DivergedError))
        ended = read_trials(tuning, list(trials), ERROR_FILE)
        chosen = choose(ended)
        error = inside(self.workdir / "arms", arm.folder) / ERROR_FILE
        if chosen and all(over):
            error.unlink(missing_ok=True)
            write_tuning(folder, arm, tuning, ended)
            values = ", ".join(f"{name}={value}" for name, value in chosen.items())
            self._say(f"{arm.name}: validation chose {values}")
            return chosen
        cause = "every trial of it diverged" if all(over) else "a trial of it failed"
        error.parent.mkdir(parents=True, exist_ok=True)
        self._fail(_keep_failure(error.parent, UserError(f"not tuned: {cause}; see {folder}")))
        return {}

    def _tell_runs(self, arm: Arm, runs: dict[Path, Arm]) -> None:
        """Each run says how its values were chosen."""
        tuned = (self._tuning_folder(arm) / TUNING_FILE).read_bytes()
        for path in runs:
            write_atomically(path / TUNING_FILE, tuned)

    def _train(self, runs: dict[str, dict[Path, Arm]]) -> None:
        count, number = sum(map(len, runs.values())), 0
        for arm in self.study.arms:
            for path, run in runs.get(arm.name, {}).items():
                number += 1
                place = path.relative_to(self.workdir / "arms")
                self._title(f"{number} of {count}: {arm.name}, {place}")
                self._attempt(path, self.actions.train, run.config, path, self.console)

    def _is_decided(self, runs: Iterable[Path]) -> bool:
        """Whether nothing is left to choose for an arm: only then its test split may be read."""
        choices = {path.parent for path in runs}
        return len(choices) == 1 or all(RunDirectory(path).is_finished for path in runs)

    def _write_sample(self, path: Path) -> None:
        prompt = self.study.prompt
        try:
            text = self.actions.continue_prompt(path, prompt, self.study.continuation_length)
            RunDirectory(path).write_samples(prompt + text)
        except Exception as error:  # such as a prompt outside the vocabulary: the run is sound
            failure = redact(f"no sample of {path}: {error}")
            self._say(failure) if isinstance(error, UserError) else self._fail(failure)

    def _attempt(self, path: Path, do: Callable, *arguments, lost: Any = ()) -> bool:
        """Calls `do`; returns whether it succeeded or ended in one of the errors `lost`.

        An error is kept in the run directory, and counts as a failure unless it is one of `lost`.
        """
        try:
            do(*arguments)
            (path / ERROR_FILE).unlink(missing_ok=True)
        except lost as error:
            self._say(_keep_failure(path, error))
        except InUseError as error:  # what lies there is another process's
            self._fail(f"failed: {error}")
            return False
        except Exception as error:
            self._fail(_keep_failure(path, error))
            return False
        return True

    def _title(self, text: str) -> None:
        self.console.rule(Text(text), align="left")

    def _say(self, text: str, style: str = "") -> None:
        self.console.print(text, markup=False, style=style)

    def _fail(self, failure: str) -> None:
        self.failures.append(failure)
        self._say(failure, style="red")


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


def _check_kept(runs: dict[Path, Arm]) -> None:
    """Raises UserError if a run is of another configuration; none goes on to another duration."""
    for path, run in runs.items():
        RunDirectory(path).check(run.config, may_go_on=False)


def _create(runs: dict[Path, Arm]) -> None:
    _check_kept(runs)
    for path, run in runs.items():
        RunDirectory(path).create(run.config)


def _study_file(study: Study) -> dict[str, Any]:
    """What a report needs to know beside the run directories."""
    return {
        "name": study.name,
        "question": study.question,
        "reference": study.reference,
        "baseline": study.baseline,
        "matched": study.matched,
        "target": study.target,
        "texts_differ": study.texts_differ,
        "prompt": study.prompt,
        "seeds": study.seeds,
        "tuning": asdict(study.tuning) if study.tuning else None,
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
