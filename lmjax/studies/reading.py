"""What a study, a folder of runs or a single run has written, read back for a report."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lmjax.errors import UserError
from lmjax.runs.fields import (
    check_fields,
    is_count,
    is_integer,
    is_number,
    is_number_or_nothing,
    is_positive_number,
    is_text,
    is_text_or_nothing,
    is_true_or_false,
    read_config,
)
from lmjax.runs.files import inside, read_json, read_whole
from lmjax.runs.run_directory import RUN_FILE, STUDY_FILE, RunDirectory, files_named
from lmjax.runs.terminal import printable
from lmjax.studies.adaptations import ADAPTATIONS
from lmjax.studies.answers import check_task
from lmjax.studies.failures import ERROR_FILE, read_failure
from lmjax.studies.held_out import count_reads, read_log
from lmjax.studies.losses import loss_of
from lmjax.studies.records import ArmRecord, RunRecord, StudyRecord
from lmjax.studies.study import MATCHES
from lmjax.studies.tuning import read_tuning

SEED_FOLDER = re.compile(r"seed_\d+")
LONGEST_TEXT = 1 << 20  # bytes, of a sample or an error

STUDY = {
    "name": is_text,
    "question": is_text,
    "baseline": is_text,
    "matched": [is_text],
    "prompt": is_text,
    "seeds": [is_integer],
    "arms": [[is_text]],  # name and folder of each
    "reference": is_text,
    "target": is_number_or_nothing,
    "texts_differ": is_true_or_false,
    "scaling": is_true_or_false,
}
# Older studies lack them.
LATER_FIELDS = {"reference": "", "target": None, "texts_differ": False, "scaling": False}
SCORE = {
    "bits_per_byte": is_number_or_nothing,
    "nats_of": is_text_or_nothing,  # missing where all scores were causal
    "context": is_text,
    "text_fingerprint": is_text,
}
SEGMENTS = {
    "nats": [is_number],
    "bytes": [is_count],
}  # and, where there are unknowns, spelling_nats
RESULTS = {
    "splits": {...: SCORE},
    "parameters": {"total": is_positive_number, "non_embedding": is_count},
    "state_bytes": is_number,
    "training_flops_per_token": is_number_or_nothing,
    "training_elementwise_per_token": is_number_or_nothing,
    "training": {"steps": is_count, "tokens": is_positive_number, "seconds": is_positive_number},
}
TRANSLATED = {
    "bleu": is_number,
    "chrf": is_number,
    "bleu_signature": is_text,
    "cleaning": [is_text],
}
TRANSLATIONS = {...: {...: TRANSLATED}}  # by split and decoding
COST = {"tokens": is_number, "flops": is_number, "seconds": is_number}
ROWS = {
    "train": {**COST, "tokens_per_second": is_number_or_nothing},
    "evaluation": {**COST, "split": is_text, "bits_per_byte": is_number_or_nothing},
}
ENVIRONMENT = {
    "versions": {...: is_text_or_nothing},
    "devices": [is_text],
    "machine": {},
    "resumed_in": [{}],
}
SOURCE = {"commit": is_text, "diff": is_text, "untracked": [is_text]}


def read_study(workdir: Path) -> StudyRecord:
    """The study in `workdir`; without its study file, every run at or below it, an arm a folder.

    A damaged run is listed as such, and the others are read all the same. Raises UserError if there
    is neither a study nor a run that can be read.
    """
    workdir = workdir.resolve()
    if (workdir / STUDY_FILE).exists():
        study = read_study_file(workdir)
        arms = workdir / "arms"
        return StudyRecord(
            name=printable(study["name"]),
            question=printable(study["question"]),
            arms=tuple(
                _read_arm(name, inside(arms, folder), study["seeds"])
                for name, folder in study["arms"]
            ),
            baseline=printable(study["baseline"]),
            matched=tuple(study["matched"]),
            prompt=study["prompt"],
            seeds=tuple(study["seeds"]),
            reference=printable(study["reference"]),
            target=study["target"],
            texts_differ=study["texts_differ"],
            scaling=study["scaling"],
            other_folders=_other_folders(arms, [folder for _, folder in study["arms"]]),
            reads_of_trials=count_reads(workdir / "tuning"),
        )
    folders = {}
    for path in _run_paths(workdir):
        folder = path.parent if SEED_FOLDER.fullmatch(path.name) else path
        folders.setdefault(folder, []).append(path)
    if not folders:
        raise UserError(f"{workdir} holds no run; give --workdir=DIR of a run or a study")
    arms = []
    for folder, paths in folders.items():
        name = folder.relative_to(workdir).as_posix() if workdir in folder.parents else folder.name
        runs, damaged = _read_runs(paths)
        arms.append(ArmRecord(printable(name), tuple(runs), _failures(folder), damaged))
    if not any(arm.runs for arm in arms):
        raise UserError(arms[0].damaged[0])
    return StudyRecord(printable(workdir.name), "", tuple(arms))


def read_study_file(workdir: Path) -> dict[str, Any]:
    """What the study file in `workdir` says; raises UserError if it is damaged."""
    file = workdir / STUDY_FILE
    study = read_json(file)
    check_fields(study, {}, file)
    study = LATER_FIELDS | study
    check_fields(study, STUDY, file)
    if any(len(arm) != 2 for arm in study["arms"]) or not set(study["matched"]) <= set(MATCHES):
        raise UserError(f"{file} has arms or matched quantities that cannot be; restore it")
    return study


def choose(
    candidates: Mapping[str, Sequence[RunRecord]], seeds: Sequence[int] = ()
) -> dict[str, float]:
    """Mean validation loss of each candidate that has all its seeds, the lowest first.

    Its seeds are those that were asked for and those that were begun; of a counted one any is all.
    """
    means = {}
    for name, runs in candidates.items():
        arm = ArmRecord(name, tuple(runs))
        scores = arm.scores("validation")
        asked = {run.seed for run in runs}.union(() if arm.is_counted else seeds)
        if scores and asked <= set(scores):
            means[name] = float(np.mean([loss_of(score) for score in scores.values()]))
    return dict(sorted(means.items(), key=lambda item: item[1]))


def _read_arm(name: str, folder: Path, seeds: Sequence[int]) -> ArmRecord:
    name = printable(name)
    runs, damaged = _read_runs(_run_paths(folder))
    candidates = {}
    for run in runs:
        choice = run.path.parent.relative_to(folder).as_posix()
        candidates.setdefault(choice, []).append(run)
    failures = _failures(folder)
    if list(candidates) in ([], ["."]):
        return ArmRecord(name, tuple(candidates.get(".", ())), failures, damaged)
    considered = choose(candidates, seeds)
    chosen = next(iter(considered or candidates))
    others = [run for choice, runs in candidates.items() if choice != chosen for run in runs]
    return ArmRecord(
        name,
        tuple(candidates[chosen]),
        failures,
        damaged,
        chosen,
        considered,
        unfinished_choices=tuple(choice for choice in candidates if choice not in considered),
        reads_of_others=sum(len(run.test_reads) for run in others),
    )


def _other_folders(arms: Path, known: Sequence[str]) -> tuple[str, ...]:
    """The folders beside those of the arms that hold a run."""
    folders = sorted(arms.iterdir()) if arms.is_dir() else []
    others = [path for path in folders if path.name not in known and _run_paths(path)]
    return tuple(printable(path.name) for path in others)


def _failures(folder: Path) -> tuple[str, ...]:
    found = []
    for path in (file.parent for file in files_named(ERROR_FILE, folder)):
        place = "" if path == folder else f"{path.relative_to(folder)}: "
        found.append(printable(place + read_failure(path).line))
    return tuple(found)


def _run_paths(folder: Path) -> list[Path]:
    return [path.parent for path in files_named(RUN_FILE, folder)]


def _read_runs(paths: Sequence[Path]) -> tuple[list[RunRecord], tuple[str, ...]]:
    """The runs that can be read, and of each other one why it can't."""
    runs, damaged = [], []
    for path in paths:
        try:
            runs.append(_read_run(path))
        except UserError as error:
            damaged.append(printable(str(error)))
    return runs, tuple(damaged)


def _read_run(path: Path) -> RunRecord:
    directory = RunDirectory(path)
    config = read_config(path / RUN_FILE).to_dict()
    metrics = directory.metrics()
    for row in metrics:
        check_fields(row, ROWS.get(row["kind"], {}), path / "metrics.jsonl")
    results = directory.results() if directory.is_finished else None
    if results is not None:
        _check_results(results, path / "results.json")
    return RunRecord(
        path=path,
        config=config,
        metrics=metrics,
        results=results,
        environment=_read_environment(path / "environment.json"),
        sample=_read_text(path / "samples.txt"),
        tuning=read_tuning(path),
        test_reads=read_log(path),
    )


def _check_results(results: Mapping[str, Any], file: Path) -> None:
    check_fields(results, RESULTS, file)
    check_fields(results.get("not_counted", []), [is_text], file, "not_counted")
    check_fields(results.get("translations", {}), {...: {...: TRANSLATED}}, file, "translations")
    adapted = results.get("adapted", {})
    check_fields(adapted, {...: {"splits": {...: SCORE}}}, file, "adapted")
    for kind in ADAPTATIONS.keys() & adapted.keys():
        wanted = {
            field: is_count if digits == "d" else is_number
            for _, field, digits in ADAPTATIONS[kind].fields
        }
        check_fields(adapted[kind], wanted, file, f"adapted.{kind}")
    for split, score in results["splits"].items():
        if "task" in score:
            check_task(score["task"], file, f"splits.{split}.task")
        segments = score.get("segments")
        if segments is not None:
            columns = SEGMENTS | {name: [is_number] for name in segments if name not in SEGMENTS}
            check_fields(segments, columns, file, f"splits.{split}.segments")
            if len({len(column) for column in segments.values()}) > 1:
                raise UserError(f"{file}: columns of {split}'s segments differ; restore the file")


def _read_environment(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    environment = read_json(path)
    check_fields(environment, ENVIRONMENT, path)
    if environment.get("source") is not None:
        check_fields(environment["source"], SOURCE, path, "source")
    return environment


def _read_text(path: Path) -> str:
    return read_whole(path, LONGEST_TEXT).decode(errors="replace") if path.exists() else ""
