"""Runs a study: tunes every arm alike, trains it with every seed, reads the test split at the end.

What is finished is skipped, the rest resumed.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from lmjax import api
from lmjax.data.dataset import open_dataset
from lmjax.errors import InUseError, UserError
from lmjax.runs.files import inside, to_json, write_atomically
from lmjax.runs.lock import only_writer
from lmjax.runs.run_directory import RUN_FILE, STUDY_FILE, RunDirectory
from lmjax.runs.secrets import redact
from lmjax.runs.signals import StopSignals
from lmjax.studies.executors import Executor, InTurn
from lmjax.studies.failures import (
    ERROR_FILE,
    Failure,
    forget_failure,
    keep_failure,
    read_failure,
)
from lmjax.studies.measures import is_counted
from lmjax.studies.reading import read_study, read_study_file
from lmjax.studies.study import Arm, Study
from lmjax.studies.tuning import (
    TUNING_FILE,
    ArmSearch,
    check_same,
    choose,
    read_tuning,
    trial_durations,
    write_tuning,
)
from lmjax.studies.work import Failures
from lmjax.tasks.registry import kind_of
from lmjax.training.run import is_done


def score_test(path: Path) -> None:
    """Adds the score of the test split to a run's results, if its corpus has one, once.

    With it what the answers to that split are worth, of a task that is answered after training; if
    that was broken off after the score, they alone.
    """
    run = RunDirectory(path)
    kind, splits = kind_of(run.config()), run.results()["splits"]
    with_task = kind is not None and kind.after_training
    if "test" in splits:
        if with_task and "task" not in splits["test"]:
            trained = api.load(path)
            trained.dataset()  # raises UserError if the corpus has changed since the score
            trained.answer_split("test", keep=True)
    elif "test" in open_dataset(run.config().data).splits:
        reader = "lmjax study, after all training"
        api.load(path).evaluate_task("test", with_task=with_task, reader=reader)


def continue_prompt(path: Path, prompt: str, length: int) -> str:
    """How the model of a run directory goes on after `prompt`, for `length` tokens."""
    return api.load(path).generate(prompt, length=length)


@dataclass(frozen=True)
class Actions:
    """What a study does to the directory of a run that was trained."""

    score_test: Callable[[Path], None] = score_test
    continue_prompt: Callable[[Path, str, int], str] = continue_prompt


def run_study(
    study: Study,
    workdir: Path,
    *,
    console: Console,
    executor: Executor | None = None,
    retry: bool = False,
    actions: Actions | None = None,
) -> list[str]:
    """Does what of the study is not done yet; returns what failed.

    Trials lie in `workdir/tuning/<arm>/<values>`, runs in `workdir/arms/<arm>/[<choice>/]seed_<n>`.
    The `executor` trains them; without one they are trained in turn. A failure is written into its
    run directory and does not keep the others from running; what failed before is trained again if
    `retry` says so. A trial that diverged has lost, and is no failure. A counted arm draws nothing
    at random, so it is not tuned and the first seed is enough. Raises UserError, before anything is
    trained, if `workdir` holds another study or a run, is being written by another process, or
    can't be written to; Stopped where others are to train what is left.
    """
    if (workdir / RUN_FILE).exists():
        raise UserError(f"{workdir} holds a run, not a study; choose another --workdir")
    with StopSignals(), only_writer(workdir):
        executor = executor or InTurn()
        return _StudyRun(study, workdir, console, executor, retry, actions or Actions()).run()


class _StudyRun:
    def __init__(
        self,
        study: Study,
        workdir: Path,
        console: Console,
        executor: Executor,
        retry: bool,
        actions: Actions,
    ):
        self.study, self.workdir, self.console, self.actions = study, workdir, console, actions
        self.executor, self.retry = executor, retry
        self.failures: list[str] = []

    def run(self) -> list[str]:
        file = self.workdir / STUDY_FILE
        if file.exists() and (name := read_study_file(self.workdir)["name"]) != self.study.name:
            raise UserError(
                f"{self.workdir} holds the study {name!r}, not {self.study.name!r}; "
                "choose another --workdir"
            )
        searches, chosen = self._searches()
        tuned = searches.keys() | chosen.keys()
        runs = {arm.name: self._runs(arm) for arm in self.study.arms if arm.name not in tuned}
        write_atomically(file, to_json(_study_file(self.study), indent=2))
        chosen |= self._tune(searches)
        for arm in self.study.arms:
            if arm.name in chosen:
                runs[arm.name] = self._runs(arm.with_fields(chosen[arm.name]))
                self._tell_runs(arm, runs[arm.name])
        self._train(path for arm in self.study.arms for path in runs.get(arm.name, {}).items())
        for arm, record in zip(self.study.arms, read_study(self.workdir).arms, strict=True):
            planned = {path.resolve(): run for path, run in runs.get(arm.name, {}).items()}
            finished = [run for run in record.finished if run.path in planned]
            if self._is_decided(planned) and not record.damaged:
                for run in finished:
                    self._score_test(run.path)
            if finished and not finished[0].sample:
                self._write_sample(finished[0].path)
        return self.failures

    def _searches(self) -> tuple[dict[str, ArmSearch], dict[str, dict[str, Any]]]:
        """By arm, the searches that are not over, checked; and what those chose that are."""
        searches, chosen = {}, {}
        durations = trial_durations(self.study)
        for arm in self.study.arms:
            if arm.name not in durations:
                continue
            folder, duration = self._tuning_folder(arm), durations[arm.name]
            if kept := read_tuning(folder):
                check_same(kept, self.study.tuning, duration, folder)
                chosen[arm.name] = kept["chosen"]
                tuned = arm.with_fields(kept["chosen"])
                _check_kept(planned_runs(tuned, self.workdir, self.study.seeds))
            else:
                search = ArmSearch(arm, self.study.tuning, self.workdir, duration, retry=self.retry)
                search.left()
                searches[arm.name] = search
        return searches, chosen

    def _runs(self, arm: Arm) -> dict[Path, Arm]:
        once = self.study.seeds[: self.study.folds or 1]
        seeds = once if is_counted(arm) else self.study.seeds
        runs = planned_runs(arm, self.workdir, seeds)
        _create(runs)
        return runs

    def _tuning_folder(self, arm: Arm) -> Path:
        return inside(self._tuning, arm.folder)

    def _tune(self, searches: Mapping[str, ArmSearch]) -> dict[str, dict[str, Any]]:
        """By arm, the fields that validation chose, where every trial of it has ended.

        All arms' searches go in step, so that their trials may be trained side by side.
        """
        while asked := [run for one in searches.values() for run in one.ask().items()]:
            self._train(asked)
        chosen = {name: self._choose(search) for name, search in searches.items()}
        return {name: fields for name, fields in chosen.items() if fields}

    def _choose(self, search: ArmSearch) -> dict[str, Any]:
        """What validation chooses for an arm; nothing if a trial has yet to be given again."""
        arm, folder = search.arm, search.folder
        best = choose(search.ended)
        untrained = inside(self.workdir / "arms", arm.folder)
        if best and search.is_over:
            forget_failure(untrained)
            write_tuning(folder, arm, self.study.tuning, search.ended, search.duration)
            values = ", ".join(f"{name}={value}" for name, value in best.fields.items())
            self._say(f"{arm.name}: validation chose {values}")
            return dict(best.fields)
        cause = "every trial of it diverged" if search.is_over else "a trial of it failed"
        error = UserError(f"not tuned: {cause}; see {folder}")
        self._fail(untrained, keep_failure(untrained, error))
        return {}

    def _tell_runs(self, arm: Arm, runs: dict[Path, Arm]) -> None:
        """Each run says how its values were chosen."""
        tuned = (self._tuning_folder(arm) / TUNING_FILE).read_bytes()
        for path in runs:
            write_atomically(path / TUNING_FILE, tuned)

    def _train(self, planned: Iterable[tuple[Path, Arm]]) -> Failures:
        """Trains what is left of the runs; returns of each why it has no results, if it has none.

        What failed before is not tried again, unless that is asked for.
        """
        runs = {path: arm.config for path, arm in planned}
        runs = {path: run for path, run in runs.items() if not is_done(RunDirectory(path), run)}
        before = {path: read_failure(path) for path in runs}
        before = {path: failure for path, failure in before.items() if failure and not self.retry}
        failed = before.copy()
        if left := {path: config for path, config in runs.items() if path not in before}:
            failed |= self.executor(left, self.workdir, self.console)
        for path, failure in failed.items():
            if failure and not (failure.diverged and path.is_relative_to(self._tuning)):
                again = "; --retry trains it again" if path in before else ""
                self._fail(path, failure, again)
        return failed

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
            line = redact(f"no sample of {path}: {error}")
            self._say(line)
            self.failures += [] if isinstance(error, UserError) else [line]

    def _score_test(self, path: Path) -> None:
        try:
            self.actions.score_test(path)
            forget_failure(path)
        except InUseError as error:
            self._fail(path, Failure(str(error)))
        except Exception as error:
            self._fail(path, keep_failure(path, error))

    @property
    def _tuning(self) -> Path:
        return self.workdir / "tuning"

    def _say(self, text: str, style: str = "") -> None:
        self.console.print(text, markup=False, style=style)

    def _fail(self, path: Path, failure: Failure, more: str = "") -> None:
        file = path / ERROR_FILE
        line = f"failed: {failure.line} ({file if file.exists() else path}{more})"
        self.failures.append(line)
        self._say(line, style="red")


def planned_runs(arm: Arm, workdir: Path, seeds: tuple[int, ...]) -> dict[Path, Arm]:
    """The run directory of each choice and seed of an arm, with the configuration it is to run.

    Where there are folds, seeds are dealt to them. Raises UserError for a choice of which no folder
    can be named.
    """
    return {
        inside(
            workdir / "arms", "/".join(filter(None, (arm.folder, choice, f"seed_{seed}")))
        ): candidate.with_fields({"seed": seed, **_fold(candidate, place)})
        for choice, candidate in arm.candidates().items()
        for place, seed in enumerate(seeds)
    }


def _fold(arm: Arm, place: int) -> dict[str, int]:
    folds = arm.config.data.get("folds", 0)
    return {"data.fold": place % folds} if folds else {}


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
        "scaling": study.scaling,
        "prompt": study.prompt,
        "seeds": study.seeds,
        "tuning": study.tuning.to_json() if study.tuning else None,
        "arms": [(arm.name, arm.folder) for arm in study.arms],
    }
