"""Tunes every trained arm of a study alike: as many trials, as long, chosen by validation."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lmjax.errors import UserError
from lmjax.runs.fields import check_fields, is_count, is_integer, is_number_or_nothing, is_text
from lmjax.runs.files import inside, plain, read_json, to_json, write_atomically
from lmjax.runs.run_directory import RunDirectory, differences, listed
from lmjax.studies.failures import read_failure
from lmjax.studies.losses import loss_of
from lmjax.studies.measures import Measures, is_counted
from lmjax.studies.search import Asked, Search
from lmjax.studies.spaces import is_options, point_name
from lmjax.studies.study import DURATION, Arm, Study, Tuning, flatten
from lmjax.training.durations import parse_duration

TUNING_FILE = "tuning.json"  # of an arm's trials, and a copy in each of its runs


ENDED = {
    "splits": {"validation": {"bits_per_byte": is_number_or_nothing}},
    "training": {"tokens": is_count},
    "training_flops_per_token": is_number_or_nothing,
    "training_elementwise_per_token": is_number_or_nothing,  # missing in older ones
}
TRIAL = {
    "fields": {},
    "bits_per_byte": is_number_or_nothing,
    "tokens": is_count,
    "failure": is_text,
    "times": is_count,
    "flops": is_number_or_nothing,
}
TUNING = {
    "space": {...: is_options},
    "budget": is_text,
    "seed": is_integer,
    "search": is_text,
    "trials": is_count,
    "factor": is_count,
    "equal": is_text,
}
TUNED = {"tuning": TUNING, "duration": is_text, "trials": [TRIAL], "chosen": {}}


@dataclass(frozen=True)
class Trial:
    """What became of what was asked; a trial that diverged has a failure in place of a score."""

    fields: Mapping[str, Any]
    bits_per_byte: float | None  # of validation
    tokens: int  # trained on, before it went on too; 0 if it diverged
    failure: str = ""
    times: int = 1  # the tuning's budget
    flops: float | None = None  # of that training


def shortened(duration: str, budget: str) -> str:
    """The duration of a trial; raises UserError if either is none, or the trial is none or longer.

    Percent are of `duration`; any other budget is a duration of its own.
    """
    share, unit = parse_duration(budget)
    amount, whole_unit = parse_duration(duration)
    if unit != "percent":
        return budget
    if not 0 < share <= 100:
        raise UserError(f"a tuning's budget is {budget!r}; give more than 0 and up to 100 percent")
    return f"{amount * share / 100:.12g} {whole_unit}"


def lengthened(duration: str, times: int) -> str:
    """So many times the duration."""
    amount, unit = parse_duration(duration)
    return duration if times == 1 else f"{amount * times:.12g} {unit}"


def trial_durations(study: Study, measures: Measures | None = None) -> dict[str, str]:
    """How long the first trials of each trained arm of a matched study train, if it is tuned.

    Raises UserError if FLOPs are to be the baseline's, and that has none.
    """
    tuning = study.tuning
    arms = [arm for arm in study.arms if tuning and not is_counted(arm)]
    durations = {arm.name: trial_duration(arm, tuning) for arm in arms}
    if not tuning or tuning.equal == "tokens":
        return durations
    if study.baseline not in durations:
        raise UserError(
            f"the baseline {study.baseline!r} is counted and trains by no FLOPs that trials could "
            "have as well; take one that is trained, or tune with equal='tokens'"
        )
    measures = measures or Measures()
    trials = {arm.name: arm.with_fields({DURATION: durations[arm.name]}) for arm in arms}
    flops = measures.of(trials[study.baseline], "training_flops")
    for name, trial in trials.items():
        tokens = measures.of(trial, "training_tokens")
        per_token = measures.of(trial, "training_flops") / tokens
        durations[name] = f"{round(flops / per_token)} tokens"
    return durations


def trial_duration(arm: Arm, tuning: Tuning) -> str:
    """How long its first trials train if it is for the budget's share of the arm's training."""
    return shortened(arm.config.training.duration, tuning.budget)


class ArmSearch:
    """The search of one arm: which of its trials are left to be trained, and what became of others.

    It knows that from their run directories alone, so that it goes on where a study was killed.
    `duration` is that of the first trials. Raises UserError if the arm has choices or lacks a field
    of the space, or if a field decides the model's size.
    """

    def __init__(
        self, arm: Arm, tuning: Tuning, workdir: Path, duration: str, *, retry: bool = False
    ):
        check_tunable(arm, tuning)
        self.arm, self.tuning, self.duration, self.retry = arm, tuning, duration, retry
        self.folder = inside(workdir / "tuning", arm.folder)
        self.ended: list[Trial] = []
        self._search = Search(tuning)
        self._given: set[tuple[Path, int]] = set()

    def left(self) -> dict[Path, Arm]:
        """What is to be trained now; nothing is, if the search is over or what was given failed.

        Raises UserError if a run directory holds another configuration.
        """
        runs = {}
        for one in self._waiting():
            path, run = self._planned(one)
            if (path, one.times) not in self._given:
                # Where a trial goes on, it is known to have ended with the duration before.
                RunDirectory(path).check(run.config, may_go_on=one.times > 1)
                runs[path] = run
        return runs

    def ask(self) -> dict[Path, Arm]:
        """The same, with run directories made; what was asked for is not left any more."""
        runs = self.left()
        self._given |= {(self._planned(one)[0], one.times) for one in self._waiting()}
        for path, trial in runs.items():
            run = RunDirectory(path)
            if run.is_finished:
                run.reopen(trial.config, run.trained()["steps"])
            else:
                run.create(trial.config)
        return runs

    @property
    def is_over(self) -> bool:
        return not self._waiting() and not self._search.ask()

    def _waiting(self) -> list[Asked]:
        """Trials that have not ended, after the search was told of all rounds that have."""
        while asked := self._search.ask():
            found = [self._read(one) for one in asked]
            if None in found:
                return [one for one, trial in zip(asked, found, strict=True) if trial is None]
            self.ended += found
            self._search.tell([trial.bits_per_byte for trial in found])
        return []

    def _planned(self, asked: Asked) -> tuple[Path, Arm]:
        path = inside(self.folder, point_name(asked.fields))
        return path, trial_of(self.arm, self.tuning, asked, self.duration)

    def _read(self, asked: Asked) -> Trial | None:
        """What became of a trial; None if it has not ended, or is to be trained again."""
        path, trial = self._planned(asked)
        run = RunDirectory(path)
        if results := run.results_of(trial.config.training.duration):
            check_fields(results, ENDED, path)
            tokens = results["training"]["tokens"]
            per_token = results.get("training_flops_per_token")
            elementwise = results.get("training_elementwise_per_token") or 0
            return Trial(
                asked.fields,
                loss_of(results["splits"]["validation"]),
                tokens,
                times=asked.times,
                flops=per_token and (per_token + elementwise) * tokens,
            )
        failure = read_failure(path)
        is_again = self.retry and (path, asked.times) not in self._given
        if failure and failure.diverged and not is_again:
            return Trial(asked.fields, None, 0, failure.line, asked.times)
        return None


def check_tunable(arm: Arm, tuning: Tuning) -> None:
    """Raises UserError if an arm has choices of its own, or the space decides its size."""
    if arm.choices:
        raise UserError(
            f"arm {arm.name!r} has choices of its own and is tuned as well; every trained arm gets "
            "the same number of trials: put them into the space of the tuning"
        )
    known = flatten(arm.config)
    for name in tuning.space:
        if name.startswith("model.") and not isinstance(known.get(name, 0.0), float):
            raise UserError(
                f"the tuning can't vary {name}: only the model's fields that are fractions surely "
                "leave its size as it is"
            )


def trial_of(arm: Arm, tuning: Tuning, asked: Asked, duration: str) -> Arm:
    """The arm as a trial trains it, where first trials have that `duration`: scored at its end."""
    common = {
        DURATION: lengthened(duration, asked.times),
        "seed": tuning.seed,
        "evaluation.checkpoint": "last",
        "checkpoint.every": "0 steps",
    }
    if arm.config.training.schedule != "plateau":  # which asks validation as it goes
        common["evaluation.every"] = "0 steps"
    return arm.with_fields({**asked.fields, **common})


def planned_trials(arm: Arm, tuning: Tuning, duration: str = "") -> dict[str, Arm]:
    """Each trial of an arm by its name, as long as it would train if all came out alike.

    First trials have the `duration`; without one, the budget's share of the arm's own training.
    Raises UserError as an ArmSearch does.
    """
    check_tunable(arm, tuning)
    duration = duration or trial_duration(arm, tuning)
    search, trials = Search(tuning), {}
    while asked := search.ask():
        trials |= {point_name(one.fields): trial_of(arm, tuning, one, duration) for one in asked}
        search.tell([0.0] * len(asked))
    return trials


def choose(trials: Sequence[Trial]) -> Trial | None:
    """Of the trials with the most budget that ended, that with the fewest bits per byte."""
    ended = [trial for trial in trials if trial.bits_per_byte is not None]
    return min(ended, key=lambda trial: (-trial.times, trial.bits_per_byte), default=None)


def write_tuning(
    folder: Path, arm: Arm, tuning: Tuning, trials: Sequence[Trial], duration: str = ""
) -> None:
    """Keeps the search of an arm and what it chose in `folder`; `duration` is as above."""
    chosen = choose(trials)
    tuned = {
        "tuning": tuning.to_json(),
        "duration": duration or trial_duration(arm, tuning),
        "trials": list(map(asdict, trials)),
        "chosen": chosen.fields if chosen else {},
    }
    write_atomically(folder / TUNING_FILE, to_json(tuned, indent=2))


def read_tuning(folder: Path) -> dict[str, Any] | None:
    """What `write_tuning` kept in `folder`, if it did; raises UserError if it is damaged."""
    file = folder / TUNING_FILE
    if not file.exists():
        return None
    tuned = read_json(file)
    check_fields(tuned, {}, file)
    if "grid" in tuned:  # of before there were other searches
        check_fields(tuned, {"budget": is_text, "seed": is_integer, "trials": [{}]}, file)
        of_then = Tuning({}, tuned["budget"], tuned["seed"]).to_json()
        tuned["tuning"] = of_then | {"space": tuned["grid"]}
        tuned["trials"] = [{"times": 1, "flops": None, **trial} for trial in tuned["trials"]]
    check_fields(tuned, TUNED, file)
    return tuned


def check_same(tuned: dict[str, Any], tuning: Tuning, duration: str, folder: Path) -> None:
    """Raises UserError if what was kept in `folder` is another search than `tuning`.

    Trials of another duration are another search, although their budget in percent be the same.
    """
    if (kept := tuned["duration"]) != duration:
        raise UserError(
            f"{folder} was tuned by trials of {kept}, and these would be of {duration}; "
            "choose another --workdir"
        )
    if changed := differences(tuned["tuning"], plain(tuning.to_json()), ()):
        raise UserError(
            f"{folder} was tuned by another search; choose another --workdir{listed(changed)}"
        )
