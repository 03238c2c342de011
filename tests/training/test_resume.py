"""A run that is killed and started again is the run that was never stopped, bit for bit."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from lmjax.checkpoints.store import Checkpoints
from lmjax.runs.run_directory import RunDirectory
from lmjax.training.metrics import CLOCKS

ROOT = Path(__file__).parent.parent.parent
CONFIG = """
from lmjax.config import base_config

def get_config(family):
    config = base_config(family)
    config.data.update(corpus="text", files={files!r}, batch_size=4, length=16)
    config.model.update(width=16, dropout=0.1)
    config.training.update(duration="60 steps", clip_norm=1.0)
    config.evaluation.every = "25 steps"
    config.checkpoint.every = "10 steps"
    config.logging.every = "7 steps"
    if family == "transformer":
        config.model.update(context_length=16, layers=1)
        config.data.batching = "windows"
        config.evaluation.context = "windowed"
    return config
"""


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    folder = tmp_path_factory.mktemp("resume")
    words = np.random.default_rng(0).choice(["the", "cat", "sat", "on", "a", "mat"], 4000)
    lines = [" ".join(part) for part in words.reshape(-1, 8)]
    (folder / "text.txt").write_text("\n".join(lines) + "\n")
    (folder / "config.py").write_text(CONFIG.format(files=str(folder / "text.txt")))
    return folder / "config.py"


def start(experiment, family, workdir):
    command = ["train", f"--config={experiment}:{family}", f"--workdir={workdir}"]
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-m", "lmjax", *command],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process):
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    return output


def kill_when(process, workdir, step):
    """SIGKILL as soon as the metrics of a step are written."""
    deadline = time.monotonic() + 300
    metrics = workdir / "metrics.jsonl"
    while time.monotonic() < deadline and process.poll() is None:
        if metrics.exists() and f'"step": {step},' in metrics.read_text():
            process.send_signal(signal.SIGKILL)
            break
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def outcome(workdir):
    """Parameters of the last checkpoint, and the metrics without what a clock says."""
    checkpoints = Checkpoints(workdir / "checkpoints")
    params = checkpoints.restore_params(checkpoints.newest_intact())
    checkpoints.close()
    run = RunDirectory(workdir)
    rows = [{k: v for k, v in row.items() if k not in CLOCKS} for row in run.metrics()]
    return params, rows, run.results()["splits"]


@pytest.mark.parametrize("family", ["rnn", "transformer"])
def test_killed_twice_and_started_again(family, experiment, tmp_path):
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    finish(start(experiment, family, straight))
    kill_when(start(experiment, family, killed), killed, 21)
    kill_when(start(experiment, family, killed), killed, 42)
    assert "resumed at step" in finish(start(experiment, family, killed))
    params, rows, splits = outcome(straight)
    killed_params, killed_rows, killed_splits = outcome(killed)
    jax.tree.map(np.testing.assert_array_equal, killed_params, params)
    assert killed_rows == rows
    assert killed_splits == splits
    steps = [row["step"] for row in rows if row["kind"] == "train"]
    assert steps == [7, 14, 21, 28, 35, 42, 49, 56]
    assert "nothing to do" in finish(start(experiment, family, killed))
