"""Runs in turn, in processes, as a Slurm array and by submitit: the same folders come of it."""

import io
import os
import shlex
import subprocess
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from lmjax.cli.main import main
from lmjax.config import base_config
from lmjax.errors import InUseError, Stopped, UserError
from lmjax.runs.lock import only_writer
from lmjax.runs.run_directory import RunDirectory
from lmjax.studies.executors import InTurn, Processes
from lmjax.studies.failures import Failure, read_failure
from lmjax.studies.slurm import SlurmScript, Submitit
from lmjax.studies.work import grouped, read_job, train_group

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def runs(tmp_path):
    """Two runs of one program and one whose text can't be read, in folders that are made."""
    words = np.random.default_rng(0).choice(["the", "cat", "sat", "on", "a", "mat"], 1000)
    (tmp_path / "text.txt").write_text("\n".join(" ".join(part) for part in words.reshape(-1, 8)))
    configs = {}
    for name, seed, files in (("a", 0, "text.txt"), ("b", 1, "text.txt"), ("c", 0, "no.txt")):
        config = base_config("rnn")
        config.seed = seed
        config.model.update(width=8, layers=1)
        config.data.update(corpus="text", files=str(tmp_path / files), batch_size=4, length=8)
        config.training.duration = config.evaluation.every = "4 steps"
        path = tmp_path / "study" / name
        RunDirectory(path).create(config)
        configs[path] = config
    return configs


@pytest.fixture
def environment(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")


def check(runs, failures):
    """Two runs have ended, and the third says why it has not."""
    a, b, c = runs
    assert (failures[a], failures[b]) == (None, None)
    assert failures[c] == read_failure(c) and "no.txt" in failures[c].line
    for path in (a, b):
        assert RunDirectory(path).results()["training"]["steps"] == 4


@pytest.mark.parametrize("replicas", [1, 0])
def test_in_turn(tmp_path, runs, replicas):
    output = io.StringIO()
    console = Console(file=output, width=200)
    check(runs, InTurn(replicas)(runs, tmp_path / "study", console))
    titles = ["1 to 2 of 3: a, b", "3 of 3: c"] if replicas == 0 else ["1 of 3: a", "2 of 3: b"]
    assert all(title in output.getvalue() for title in titles)
    together = [RunDirectory(path).results()["training"]["replicas"] for path in list(runs)[:2]]
    assert together == [1 if replicas else 2] * 2


def test_in_processes(tmp_path, runs, environment):
    output = io.StringIO()
    failures = Processes(2)(runs, tmp_path / "study", Console(file=output, width=200))
    check(runs, failures)
    assert "a: done" in output.getvalue()
    assert "c: " in output.getvalue()


def test_a_process_that_dies_is_no_failure_of_its_run(tmp_path, runs, environment, monkeypatch):
    monkeypatch.setattr("sys.executable", "false")
    failures = Processes(2)(runs, tmp_path / "study", Console(quiet=True))
    assert {failure.line.partition(",")[0] for failure in failures.values()} == {
        "its process ended with code 1 before it did"
    }
    assert not any(map(read_failure, runs))


def test_a_slurm_array_trains_what_is_left(tmp_path, runs, environment):
    study = tmp_path / "study"
    executor = SlurmScript("-p gpu --time=1:00:00", replicas=0)
    with pytest.raises(Stopped, match=r"3 runs are left, as 2 jobs: .*sbatch .*array\.sh") as stop:
        executor(runs, study, Console(quiet=True))
    assert stop.value.exit_code == 0
    script = study / "slurm" / "array.sh"
    lines = script.read_text().splitlines()
    assert lines[:3] == [
        "#!/bin/bash",
        "#SBATCH -p gpu --time=1:00:00",
        "#SBATCH --array=0-1",
    ]
    for index in range(2):
        subprocess.run(
            ["bash", str(script)],
            env={**os.environ, "SLURM_ARRAY_TASK_ID": str(index)},
            check=True,
            capture_output=True,
        )
    a, b, c = runs
    done = executor({a: runs[a], b: runs[b]}, study, Console(quiet=True))
    check(runs, {**done, c: read_failure(c)})


def test_by_submitit(tmp_path, runs, environment):
    pytest.importorskip("submitit")
    executor = Submitit("local", "timeout_min=5", replicas=0)
    check(runs, executor(runs, tmp_path / "study", Console(quiet=True)))
    with pytest.raises(UserError, match="submitit refuses 'local:timeout_mn=5'"):
        Submitit("local", "timeout_mn=5")(runs, tmp_path / "study", Console(quiet=True))
    with pytest.raises(UserError, match="submitit refuses 'slurmm'"):
        Submitit("slurmm")(runs, tmp_path / "study", Console(quiet=True))
    with pytest.raises(UserError, match="'timeout_min' is no NAME=VALUE"):
        Submitit("local", "timeout_min")(runs, tmp_path / "study", Console(quiet=True))


def test_groups_are_of_one_program_and_not_too_large(runs):
    assert [len(group) for group in grouped(runs)] == [2, 1]
    assert [len(group) for group in grouped(runs, 1)] == [1, 1, 1]
    assert [path.name for group in grouped(runs, 2) for path in group] == ["a", "b", "c"]


def test_what_another_process_trains_is_no_failure_of_its_run(tmp_path, runs):
    a = next(iter(runs))
    with only_writer(a):
        failed = train_group({a: runs[a]}, Console(quiet=True))
    assert isinstance(failed[a], Failure) and "is being written by" in failed[a].line
    assert read_failure(a) is None

    def elsewhere(*_):
        raise InUseError("elsewhere")

    assert train_group({a: runs[a]}, Console(quiet=True), elsewhere)[a].line == "elsewhere"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("work", "--jobs=FILE is missing"),
        ("work --jobs=none.json", "none.json does not exist"),
        ("work --jobs=none.json --cores=a", "--cores=a: "),
        ("study --study=x.py --jobs=2 --slurm=", "--jobs and --slurm name different places"),
        ("study --study=x.py --jobs=0", "--jobs must be 1 or more"),
        ("study --study=x.py --replicas=-1", "--replicas 1 or more, or 0"),
    ],
)
def test_what_cannot_be_is_refused(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(shlex.split(arguments)) == 2
    assert message in capsys.readouterr().err


def test_a_list_of_jobs_is_checked(tmp_path):
    file = tmp_path / "jobs.json"
    file.write_text('[["a"], ["b", "c"]]')
    assert read_job(file, 1) == ["b", "c"]
    with pytest.raises(UserError, match="groups 0 to 1, and none of index 2"):
        read_job(file, 2)
    file.write_text('[["a"], "b"]')
    with pytest.raises(UserError, match=r"jobs\.json"):
        read_job(file, 0)
