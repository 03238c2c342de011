"""What is not finite, wherever it comes from, is found at its step, named and never saved."""

import io
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

from lmjax.checkpoints.store import Checkpoints
from lmjax.checks.replay import replay
from lmjax.config import base_config
from lmjax.errors import UserError
from lmjax.nn.leaves import first_nonfinite
from lmjax.runs.run_directory import RunDirectory
from lmjax.training import program
from lmjax.training.execution import JitExecution
from lmjax.training.health import is_spike
from lmjax.training.position import Position
from lmjax.training.run import train
from lmjax.training.step import TrainStep

BAD_STEP = 7


@pytest.fixture
def config(tmp_path):
    words = np.random.default_rng(0).choice(["the", "cat", "sat", "on", "a", "mat"], 4000)
    lines = [" ".join(part) for part in words.reshape(-1, 8)]
    (tmp_path / "text.txt").write_text("\n".join(lines) + "\n")
    config = base_config("rnn")
    config.data.update(corpus="text", files=str(tmp_path / "text.txt"), batch_size=4, length=16)
    config.model.update(width=8, layers=1, cell="gru")
    config.training.update(duration="12 steps", clip_norm=1.0)
    config.evaluation.update(every="6 steps", checkpoint="last")
    config.checkpoint.every = "4 steps"
    config.logging.every = "1 steps"
    return config


def inject_into_loss(monkeypatch):
    _change_gradient(monkeypatch, lambda nats, gradient, bad: (nats + bad, gradient))


def inject_into_gradient(monkeypatch):
    def change(nats, gradient, bad):
        leaves, tree = jax.tree.flatten(gradient)
        return nats, jax.tree.unflatten(tree, [leaves[0] + bad, *leaves[1:]])

    _change_gradient(monkeypatch, change)


def _change_gradient(monkeypatch, change):
    original = TrainStep._gradient

    def changed(self, state, batch):
        gradient, outcome = original(self, state, batch)
        bad = jnp.where(state.step == BAD_STEP - 1, jnp.nan, 0.0)
        nats, gradient = change(outcome.nats, gradient, bad)
        return gradient, outcome.replace(nats=nats)

    monkeypatch.setattr(TrainStep, "_gradient", changed)


def inject_into_batch(monkeypatch):
    original = program.endless

    def batches(batching, data):
        return _Poisoned(original(batching, data))

    monkeypatch.setattr(program, "endless", batches)


class _Poisoned:
    """The batches of an iterator, one of which has a weight that is not a number."""

    def __init__(self, batches):
        self._batches = batches
        self.get_state, self.set_state = batches.get_state, batches.set_state

    def __next__(self):
        index = self.get_state()["next_index"]
        batch = next(self._batches)
        if index != BAD_STEP - 1:
            return batch
        weights_BT = batch.weights_BT.copy()
        weights_BT[1, 2] = np.nan
        return batch.replace(weights_BT=weights_BT)


def inject_into_params(monkeypatch):
    original, done = JitExecution.__call__, []

    def call(self, state, batch):
        if int(state.step) == BAD_STEP - 1 and not done:
            done.append(True)
            leaves, tree = jax.tree.flatten(state.params)
            leaves[-1] = leaves[-1].at[0].set(jnp.inf)
            state = state.replace(params=jax.tree.unflatten(tree, leaves))
        return original(self, state, batch)

    monkeypatch.setattr(JitExecution, "__call__", call)


def run(config, workdir):
    out = io.StringIO()
    train(config, workdir, Console(file=out, width=1000))
    return out.getvalue()


NAMED = {
    inject_into_loss: "the loss is nan, with a gradient that is finite",
    inject_into_gradient: "the loss is 5.*, the gradient of params/.* .the first of 1. not fin.*",
    inject_into_batch: "the loss is nan, the gradient of params/.* not finite .*",
    inject_into_params: "the parameter params/.* was not finite before the step",
}
HEALED = [
    ("skip", inject_into_loss),
    ("skip", inject_into_batch),
    ("rollback", inject_into_batch),
    ("rollback", inject_into_params),
]
NOT_HEALED = [
    *(("stop", inject) for inject in NAMED),
    ("skip", inject_into_params),
    ("rollback", inject_into_gradient),  # the step is bad each time that it is made
]


def inject_into_every_loss(monkeypatch):
    def change(nats, gradient, bad):
        return nats + jnp.nan, gradient

    _change_gradient(monkeypatch, change)


def test_skips_run_out(config, tmp_path, monkeypatch):
    inject_into_every_loss(monkeypatch)
    config.health.update(on_nonfinite="skip", retries=2)
    with pytest.raises(UserError, match="step 3: .* after 2 times skip.*raise health.retries"):
        run(config, tmp_path / "run")


@pytest.mark.parametrize("policy, inject", HEALED)
def test_a_run_heals_and_counts_it(policy, inject, config, tmp_path, monkeypatch):
    inject(monkeypatch)
    config.health.on_nonfinite = policy
    log = run(config, tmp_path / "run")
    results = RunDirectory(tmp_path / "run").results()["training"]
    assert [results["skips"], results["rollbacks"]] == [policy == "skip", policy == "rollback"]
    assert results["steps"] == 12
    steps = [row["step"] for row in RunDirectory(tmp_path / "run").metrics() if "loss" in row]
    assert steps == list(range(1, 13))
    assert re.search(f"step {BAD_STEP}: {NAMED[inject]}", log)
    assert_clean(tmp_path / "run")


@pytest.mark.parametrize("policy, inject", NOT_HEALED)
def test_a_run_that_does_not_heal_ends(policy, inject, config, tmp_path, monkeypatch):
    inject(monkeypatch)
    config.health.on_nonfinite = policy
    tried = " after 3 times rollback" if policy == "rollback" else ""
    with pytest.raises(UserError, match=f"step {BAD_STEP}: {NAMED[inject]}{tried}; nothing"):
        run(config, tmp_path / "run")
    assert_clean(tmp_path / "run")


def assert_clean(workdir):
    """All that was saved is finite; the log and the replay folder name the step."""
    checkpoints = Checkpoints(workdir / "checkpoints", read_only=True)
    assert checkpoints.steps
    for step in checkpoints.steps:
        assert first_nonfinite(checkpoints.restore_params(step)) is None
    assert (workdir / "replay" / f"step_{BAD_STEP}.json").exists()
    assert f"step {BAD_STEP}: " in (workdir / "log.txt").read_text()


def test_an_infinite_rate_is_found_at_the_step_that_it_spoils(config, tmp_path):
    config.training.update(learning_rate=3e38, optimizer="sgd", clip_norm=0.0, warmup="0 steps")
    config.training.update(loss_reduction="sequence_mean", schedule="constant")
    with pytest.raises(UserError, match=r"step [12]: .*not? .*finite.*nothing of it was saved"):
        run(config, tmp_path / "run")
    assert Checkpoints(tmp_path / "run" / "checkpoints", read_only=True).steps == []


def test_replay_tells_what_happened_again_from_what_did_not(config, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        inject_into_batch(patch)
        with pytest.raises(UserError, match="lmjax doctor replay"):
            run(config, tmp_path / "batch")
        out = io.StringIO()
        what = replay(tmp_path / "batch", Console(file=out, width=200))
        assert "the loss is nan" in what
        assert re.search(r"kept batch +│ yes", out.getvalue())
    with monkeypatch.context() as patch:
        inject_into_params(patch)
        with pytest.raises(UserError):
            run(config, tmp_path / "params")
    before = sorted((tmp_path / "params").rglob("*"))
    out = io.StringIO()
    assert replay(tmp_path / "params", Console(file=out, width=200)) is None
    assert "it did not happen again" in out.getvalue()
    assert re.search(r"output not finite +│ none", out.getvalue())
    assert sorted((tmp_path / "params").rglob("*")) == before
    with pytest.raises(UserError, match="no batch of step 3 that went wrong .kept: 7"):
        replay(tmp_path / "params", Console(file=out), step=3)


def test_a_spike_is_one_far_above_the_running_mean():
    generator = np.random.default_rng(0)
    position = Position()
    found = [is_spike(position, loss, 10.0) for loss in 3 + 0.1 * generator.standard_normal(500)]
    assert not any(found)
    np.testing.assert_allclose(position.loss_mean, 3, atol=0.05)
    np.testing.assert_allclose(position.loss_deviation, 0.1 * np.sqrt(2 / np.pi), rtol=0.3)
    assert not is_spike(position, 2.0, 10.0) and not is_spike(position, 3.5, 10.0)
    assert is_spike(position, 4.5, 10.0) and is_spike(position, 4.5, 10.0)
    assert not is_spike(position, 4.5, 0.0)
    assert position.spikes == 2


def test_a_spike_is_said_once_and_goes_by_its_policy(config, tmp_path, monkeypatch):
    monkeypatch.setattr("lmjax.training.health.MEMORY", 4)
    original = TrainStep._gradient

    def spiking(self, state, batch):
        gradient, outcome = original(self, state, batch)
        high = (state.step == BAD_STEP - 1) | (state.step == BAD_STEP)
        nats = jnp.where(high, 50 * outcome.nats, outcome.nats)
        return gradient, outcome.replace(nats=nats)

    monkeypatch.setattr(TrainStep, "_gradient", spiking)
    log = run(config, tmp_path / "log")
    assert log.count("the loss rose to") == 1
    assert RunDirectory(tmp_path / "log").results()["training"]["spikes"] == 2
    config.health.on_spike = "stop"
    with pytest.raises(UserError, match=f"step {BAD_STEP}: the loss rose to.*set health.on_spike"):
        run(config, tmp_path / "stop")
    config.health.on_spike = "rollback"
    with pytest.raises(UserError, match="the loss rose to.* after 3 times rollback"):
        run(config, tmp_path / "rollback")
    assert (tmp_path / "rollback" / "log.txt").read_text().count("rolled back to step 6") == 3


def test_an_unknown_policy_is_refused(config, tmp_path):
    config.health.on_nonfinite = "skp"
    with pytest.raises(UserError, match="unknown health.on_nonfinite 'skp': did you mean 'skip'"):
        run(config, tmp_path / "run")
