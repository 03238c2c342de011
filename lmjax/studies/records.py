"""What a study, a folder of runs or a single run has written, read back for a report."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lmjax.errors import UserError
from lmjax.runs.files import read_json
from lmjax.runs.run_directory import RunDirectory

SEED_FOLDER = re.compile(r"seed_\d+")
ERROR_FILE = "error.txt"
STUDY_FILE = "study.json"


@dataclass(frozen=True)
class RunRecord:
    """One run directory."""

    path: Path
    config: Mapping[str, Any]
    metrics: Sequence[Mapping[str, Any]]
    results: Mapping[str, Any] | None  # None: not finished
    environment: Mapping[str, Any]
    sample: str  # the prompt and how the model went on

    @property
    def seed(self) -> int:
        return self.config["seed"]


@dataclass(frozen=True)
class ArmRecord:
    """The runs of one arm; of an arm with choices those of the one that validation prefers."""

    name: str
    runs: tuple[RunRecord, ...]
    failures: tuple[str, ...] = ()  # why runs of the arm, of any choice, have no results
    chosen: str = ""
    considered: Mapping[str, float] = field(
        default_factory=dict
    )  # choice: validation bits per byte

    @property
    def finished(self) -> tuple[RunRecord, ...]:
        return tuple(run for run in self.runs if run.results)

    @property
    def is_counted(self) -> bool:
        """Whether no gradient step was taken: one run then stands for every seed."""
        return all(run.results["training"]["steps"] == 0 for run in self.finished)

    def scores(self, split: str) -> dict[int, Mapping[str, Any]]:
        """The score of a split by seed, for the runs that have one."""
        return {
            run.seed: run.results["splits"][split]
            for run in self.finished
            if split in run.results["splits"]
        }


@dataclass(frozen=True)
class StudyRecord:
    """A study as far as it has been run."""

    name: str
    question: str
    arms: tuple[ArmRecord, ...]
    baseline: str = ""
    matched: tuple[str, ...] = ()
    prompt: str = ""


def read_study(workdir: Path) -> StudyRecord:
    """The study in `workdir`; without its study file, every run at or below it, an arm a folder.

    Raises UserError if there is neither.
    """
    workdir = workdir.resolve()
    if (workdir / STUDY_FILE).exists():
        study = read_json(workdir / STUDY_FILE)
        return StudyRecord(
            name=study["name"],
            question=study["question"],
            arms=tuple(_read_arm(name, workdir / "arms" / path) for name, path in study["arms"]),
            baseline=study["baseline"],
            matched=tuple(study["matched"]),
            prompt=study["prompt"],
        )
    folders = {}
    for run in _read_runs(workdir):
        folder = run.path.parent if SEED_FOLDER.fullmatch(run.path.name) else run.path
        folders.setdefault(folder, []).append(run)
    if not folders:
        raise UserError(f"{workdir} holds no run; give --workdir=DIR of a run or a study")
    arms = []
    for folder, runs in folders.items():
        name = folder.relative_to(workdir).as_posix() if workdir in folder.parents else folder.name
        arms.append(ArmRecord(name, tuple(runs), _failures(folder)))
    return StudyRecord(workdir.name, "", tuple(arms))


def choose(candidates: Mapping[str, Sequence[RunRecord]]) -> dict[str, float]:
    """Mean validation bits per byte of each candidate with a finished run, the lowest first."""
    means = {}
    for name, runs in candidates.items():
        scores = ArmRecord(name, tuple(runs)).scores("validation").values()
        if scores:
            means[name] = float(np.mean([score["bits_per_byte"] for score in scores]))
    return dict(sorted(means.items(), key=lambda item: item[1]))


def _read_arm(name: str, folder: Path) -> ArmRecord:
    candidates = {}
    for run in _read_runs(folder):
        choice = run.path.parent.relative_to(folder).as_posix()
        candidates.setdefault(choice, []).append(run)
    failures = _failures(folder)
    if list(candidates) in ([], ["."]):
        return ArmRecord(name, tuple(candidates.get(".", ())), failures)
    considered = choose(candidates)
    chosen = next(iter(considered or candidates))
    return ArmRecord(name, tuple(candidates[chosen]), failures, chosen, considered)


def _failures(folder: Path) -> tuple[str, ...]:
    return tuple(
        f"{file.parent.relative_to(folder)}: {file.read_text(encoding='utf-8').splitlines()[0]}"
        for file in sorted(folder.rglob(ERROR_FILE))
    )


def _read_runs(folder: Path) -> list[RunRecord]:
    return [_read_run(path.parent) for path in sorted(folder.rglob("config.json"))]


def _read_run(path: Path) -> RunRecord:
    directory = RunDirectory(path)
    environment, samples = path / "environment.json", path / "samples.txt"
    return RunRecord(
        path=path,
        config=directory.config().to_dict(),
        metrics=directory.metrics(),
        results=directory.results() if directory.is_finished else None,
        environment=read_json(environment) if environment.exists() else {},
        sample=samples.read_text(encoding="utf-8") if samples.exists() else "",
    )
