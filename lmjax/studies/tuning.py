"""Tunes every trained arm of a study alike: as many trials, as long, chosen by validation."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lmjax.errors import UserError
from lmjax.runs.fields import check_fields, is_count, is_integer, is_number, is_text
from lmjax.runs.files import inside, plain, read_json, to_json, write_atomically
from lmjax.runs.run_directory import RunDirectory
from lmjax.studies.failures import read_failure
from lmjax.studies.study import Arm, Tuning, flatten
from lmjax.training.durations import parse_duration

TUNING_FILE = "tuning.json"  # of an arm's trials, and a copy in each of its runs


def is_number_or_nothing(value: Any) -> bool:
    return value is None or is_number(value)


def is_list(value: Any) -> bool:
    return isinstance(value, list)


ENDED = {
    "splits": {"validation": {"bits_per_byte": is_number_or_nothing}},
    "training": {"tokens": is_count},
}
TRIAL = {
    "fields": {},
    "bits_per_byte": is_number_or_nothing,
    "tokens": is_count,
    "failure": is_text,
}
TUNED = {
    "grid": {...: is_list},
    "budget": is_text,
    "duration": is_text,
    "seed": is_integer,
    "trials": [TRIAL],
    "chosen": {},
}


@dataclass(frozen=True)
class Trial:
    """What became of one combination; a trial that diverged has a failure in place of a score."""

    fields: Mapping[str, Any]
    bits_per_byte: float | None  # of validation
    tokens: int  # trained on
    failure: str = ""


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


def trial_duration(arm: Arm, tuning: Tuning) -> str:
    """How long each trial of an arm trains, whatever share of its training that is."""
    return shortened(arm.config.training.duration, tuning.budget)


def planned_trials(arm: Arm, tuning: Tuning, workdir: Path) -> dict[Path, Arm]:
    """The run directory of each trial of an arm, with the configuration it is to run.

    A trial is scored at its end only. Raises UserError if the arm has choices or lacks a field of
    the grid, or if a field decides the model's size.
    """
    if arm.choices:
        raise UserError(
            f"arm {arm.name!r} has choices of its own and is tuned as well; every trained arm gets "
            "the same number of trials: put them into the grid of the tuning"
        )
    known = flatten(arm.config)
    for name in tuning.grid:
        if name.startswith("model.") and not isinstance(known.get(name, 0.0), float):
            raise UserError(
                f"the tuning can't vary {name}: only the model's fields that are fractions surely "
                "leave its size as it is"
            )
    common = {
        "training.duration": trial_duration(arm, tuning),
        "seed": tuning.seed,
        "evaluation.checkpoint": "last",
        "checkpoint.every": "0 steps",
    }
    if arm.config.training.schedule != "plateau":  # which asks validation as it goes
        common["evaluation.every"] = "0 steps"
    return {
        inside(workdir / "tuning", f"{arm.folder}/{name}"): arm.with_fields(fields | common)
        for name, fields in tuning.trials().items()
    }


def read_trials(tuning: Tuning, paths: list[Path]) -> list[Trial]:
    """What became of the trials in `paths`, in the grid's order.

    A trial that neither ended nor failed counts as failed.
    """
    trials = []
    for path, fields in zip(paths, tuning.trials().values(), strict=True):
        run = RunDirectory(path)
        if run.is_finished:
            results = run.results()
            check_fields(results, ENDED, path / "results.json")
            score = results["splits"]["validation"]["bits_per_byte"]
            trials.append(Trial(fields, score, results["training"]["tokens"]))
        else:
            failure = read_failure(path)
            line = failure.line if failure else "not finished"
            trials.append(Trial(fields, None, 0, line))
    return trials


def choose(trials: list[Trial]) -> dict[str, Any]:
    """The fields of the trial with the fewest bits per byte on validation; none if none ended."""
    ended = [trial for trial in trials if trial.bits_per_byte is not None]
    if not ended:
        return {}
    return dict(min(ended, key=lambda trial: trial.bits_per_byte).fields)


def write_tuning(folder: Path, arm: Arm, tuning: Tuning, trials: list[Trial]) -> None:
    """Keeps the search of an arm and what it chose in `folder`."""
    tuned = {
        **asdict(tuning),
        "duration": trial_duration(arm, tuning),
        "trials": list(map(asdict, trials)),
        "chosen": choose(trials),
    }
    write_atomically(folder / TUNING_FILE, to_json(tuned, indent=2))


def read_tuning(folder: Path) -> dict[str, Any] | None:
    """What `write_tuning` kept in `folder`, if it did; raises UserError if it is damaged."""
    file = folder / TUNING_FILE
    if not file.exists():
        return None
    tuned = read_json(file)
    check_fields(tuned, TUNED, file)
    return tuned


def check_same(tuned: dict[str, Any], arm: Arm, tuning: Tuning, folder: Path) -> None:
    """Raises UserError if what was kept in `folder` is another search than `tuning` of the arm.

    Trials of another duration are another search, although their budget in percent be the same.
    """
    duration = trial_duration(arm, tuning)
    if (kept := tuned["duration"]) != duration:
        raise UserError(
            f"{folder} was tuned by trials of {kept}, and these would be of {duration}; "
            "choose another --workdir"
        )
    if {name: tuned[name] for name in ("grid", "budget", "seed")} != plain(asdict(tuning)):
        raise UserError(
            f"{folder} was tuned by another grid, budget or seed; choose another --workdir"
        )
