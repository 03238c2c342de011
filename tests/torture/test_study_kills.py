"""SIGKILL at random times: a study goes on, comes to the same tables, and does no run twice."""

import os
import random
import signal
import sys
import time

import pytest

from lmjax.errors import PREEMPTED
from lmjax.runs.run_directory import RUN_FILE, files_named
from tests.torture.runs import ROOT, Outcome, Process, committed_steps, log

KILLS = 5
STUDY = """
from lmjax.studies.study import Arm, Study, Tuning
from lmjax.runs.python_file import load_from_file
from ml_collections import ConfigDict

def arm(cell):
    config = load_from_file({config!r}, "config", ConfigDict)
    config.model.update(cell=cell, width=32, initialization=0.1)
    return Arm(cell, config, fine_field="model.embedding_width")

def get_study(arg=""):
    return Study(
        name="killed",
        question="Which cell?",
        arms=(arm("gru"), arm("lstm")),
        baseline="lstm",
        seeds=(0, 1, 2),
        tuning=Tuning({{"training.learning_rate": (0.001, 0.01)}}, "50 percent"),
    )
"""


class StudyRuns:
    """The same study in two folders: one is left alone, the other killed."""

    def __init__(self, experiment, folder, replicas):
        self.folder, self.file, self.replicas = folder, folder / "study.py", replicas
        self.cache = experiment.folder / "cache"
        config = f"{experiment.folder / 'config.py'}:rnn"
        self.file.write_text(STUDY.format(config=config))

    def start(self, workdir, *flags):
        command = [sys.executable, "-m", "lmjax", "study", f"--study={self.file}"]
        return Process(
            [*command, f"--workdir={workdir}", f"--replicas={self.replicas}", *flags],
            {
                **os.environ,
                "JAX_PLATFORMS": "cpu",
                "JAX_COMPILATION_CACHE_DIR": str(ROOT / ".cache" / "jax"),
                "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
                "LMJAX_CACHE_DIR": str(self.cache),
                "PYTHONPATH": str(ROOT),
                "XLA_FLAGS": "",
            },
        )


def run_paths(workdir):
    return [path.parent for path in files_named(RUN_FILE, workdir)]


def lines_of_logs(workdir):
    return sum(log(path).count("\n") for path in run_paths(workdir))


def finished(workdir):
    """What must not be touched any more, of each run that is finished."""
    return {
        path: (path / "metrics.jsonl").stat().st_mtime_ns
        for path in run_paths(workdir)
        if (path / "results.json").exists()
    }


def tables(workdir):
    """The lines of the report, without its two columns of clocks and the state of the checkout."""
    lines, in_training = [], False
    for line in (workdir / "report.md").read_text().replace(str(workdir), "").splitlines():
        in_training = line.startswith("| Training |") or (in_training and line.startswith("|"))
        if not line.startswith("- Source: "):
            lines.append(line.rsplit("|", 3)[0] if in_training else line)
    return lines


@pytest.mark.parametrize("replicas", [1, 0])
def test_a_study_killed_at_random_times(replicas, experiment, full, scorecard, tmp_path):
    if replicas != 1 and not full:
        pytest.skip("with LMJAX_TORTURE=full")
    runs, draw, failures = StudyRuns(experiment, tmp_path, replicas), random.Random(replicas), []
    runs.start(tmp_path / "golden").succeed()
    workdir, kills, most = tmp_path / "killed", 0, KILLS if full else 2
    share = lines_of_logs(tmp_path / "golden") / (most + 1)
    while True:
        before, logged = finished(workdir), lines_of_logs(workdir)
        wanted, delay = logged + draw.uniform(0.3, 1.3) * share, draw.uniform(0, 0.5)
        process = runs.start(workdir)

        def is_time(wanted=wanted, delay=delay):
            if lines_of_logs(workdir) < wanted:
                return False
            time.sleep(delay)
            return True

        killed = kills < most and process.when(is_time)
        code, output = process.wait()
        kills += code == -9
        if code not in (0, -9):
            failures.append(f"exit {code} after {kills} kills: {output[-1000:]}")
        if any(time_ != before.get(path, time_) for path, time_ in finished(workdir).items()):
            failures.append(f"after {kills} kills a finished run was written to again")
        if code != -9 or not killed:
            break
    golden = {
        path.relative_to(tmp_path / "golden"): path for path in run_paths(tmp_path / "golden")
    }
    for name, path in golden.items():
        differing = Outcome.of(workdir / name).differences(Outcome.of(path))
        failures += [f"{name}: {what} differs" for what in differing]
    if tables(workdir) != tables(tmp_path / "golden"):
        failures.append("the report's tables differ")
    scorecard(f"1 SIGKILL of a study, replicas={replicas}", kills, failures, f"{len(golden)} runs")


def test_processes_save_before_a_study_that_is_stopped_ends(experiment, full, scorecard, tmp_path):
    if not full:
        pytest.skip("with LMJAX_TORTURE=full")
    runs, workdir, failures = StudyRuns(experiment, tmp_path, replicas=1), tmp_path / "study", []
    process = runs.start(workdir, "--jobs=2")
    assert process.when(lambda: lines_of_logs(workdir) > 3, signal.SIGTERM)
    code, output = process.wait()
    if code != PREEMPTED:
        failures.append(f"exit {code}: {output[-1000:]}")
    begun = [path for path in run_paths(workdir) if "step" in log(path)]
    failures += [f"{path} was not saved" for path in begun if not committed_steps(path)]
    if locked := list(workdir.rglob("lock.json")):
        failures.append(f"{locked} are held still")
    scorecard("4 SIGTERM of a study with --jobs=2", 1, failures, f"{len(begun)} runs begun")
