"""A device that fails ends a run with advice and its own exit code; what was saved stays good."""

import io

import jax
import numpy as np
import pytest
from rich.console import Console

from lmjax.cli import main as command_line
from lmjax.config import base_config
from lmjax.errors import DeviceError
from lmjax.runs.run_directory import RunDirectory
from lmjax.training.execution import JitExecution
from lmjax.training.run import train


@pytest.fixture
def config(tmp_path):
    words = np.random.default_rng(0).choice(["the", "cat", "sat", "on"], 2000)
    lines = [" ".join(part) for part in words.reshape(-1, 8)]
    (tmp_path / "text.txt").write_text("\n".join(lines) + "\n")
    config = base_config("rnn")
    config.data.update(corpus="text", files=str(tmp_path / "text.txt"), batch_size=4, length=16)
    config.model.update(width=8, layers=1)
    config.training.duration = "8 steps"
    config.checkpoint.every = "2 steps"
    config.evaluation.every = "8 steps"
    return config


@pytest.mark.parametrize(
    "message, advice",
    [
        ("RESOURCE_EXHAUSTED: Out of memory allocating 8 bytes", "lower data.batch_size or raise"),
        ("INTERNAL: the device is lost", "the same command goes on"),
    ],
)
def test_a_failing_device(message, advice, config, tmp_path, monkeypatch):
    original = JitExecution.__call__

    def failing(self, state, batch):
        if int(state.step) == 5:
            raise jax.errors.JaxRuntimeError(message)
        return original(self, state, batch)

    quiet = Console(file=io.StringIO())
    with monkeypatch.context() as patch:
        patch.setattr(JitExecution, "__call__", failing)
        with pytest.raises(DeviceError, match=f"{message}.*{advice}") as caught:
            train(config, tmp_path / "run", quiet)
        patch.setattr("lmjax.cli.doctor.main", lambda arguments: _raise(caught.value))
        assert command_line.main(["doctor"]) == 69
    train(config, tmp_path / "run", quiet)
    assert "resumed at step 4" in (tmp_path / "run" / "log.txt").read_text()
    assert RunDirectory(tmp_path / "run").results()["training"]["steps"] == 8


def test_a_mistake_in_the_program_is_not_called_a_devices(config, tmp_path, monkeypatch):
    def failing(self, state, batch):
        raise jax.errors.JaxRuntimeError("INVALID_ARGUMENT: shapes differ")

    monkeypatch.setattr(JitExecution, "__call__", failing)
    with pytest.raises(jax.errors.JaxRuntimeError, match="shapes differ"):
        train(config, tmp_path / "run", Console(file=io.StringIO()))


def _raise(error):
    raise error
