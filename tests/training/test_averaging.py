"""Averaged parameters are the mean that a plain loop gives, from where validation says."""

import io

import jax
import numpy as np
import pytest
from rich.console import Console

from lmjax.checkpoints.store import Checkpoints
from lmjax.config import base_config
from lmjax.errors import UserError
from lmjax.runs.run_directory import RunDirectory
from lmjax.training.averaging import triggers
from lmjax.training.run import train

STEPS, EVERY = 24, 4


@pytest.fixture
def config(tmp_path):
    """An LSTM that learns a text whose validation part is another language: it gets worse there."""
    words = np.random.default_rng(0).choice(["the", "cat", "sat"], 3000)
    others = np.random.default_rng(1).choice(["zu", "Xyz", "QQ"], 400)
    lines = [" ".join(part) for part in [*words.reshape(-1, 10), *others.reshape(-1, 10)]]
    (tmp_path / "text.txt").write_text("\n".join(lines) + "\n")
    config = base_config("rnn")
    config.data.update(corpus="text", files=str(tmp_path / "text.txt"), batch_size=4, length=16)
    config.model.update(width=16, layers=1)
    config.training.update(duration=f"{STEPS} steps", optimizer="sgd", learning_rate=2.0)
    config.training.update(schedule="constant", clip_norm=1.0)
    config.evaluation.update(every=f"{EVERY} steps", rows=4, checkpoint="last")
    config.checkpoint.keep_every = config.checkpoint.every = "1 steps"
    return config


def trained(config, workdir):
    """Validation's nats by step, the parameters after each step, and the results."""
    results = train(config, workdir, Console(file=io.StringIO()))
    rows = RunDirectory(workdir).metrics()
    scores = {row["step"]: row["nats_per_token"] for row in rows if row["kind"] == "evaluation"}
    checkpoints = Checkpoints(workdir / "checkpoints", read_only=True)
    params = {step: checkpoints.restore_params(step) for step in checkpoints.steps}
    return scores, params, results


def first_trigger(losses, patience):
    """Merity et al. (2018), algorithm 1: the index of the evaluation that sets T."""
    logs = []
    for t, v in enumerate(losses):
        if t > patience and v > min(logs[index] for index in range(t - patience)):
            return t
        logs.append(v)
    return None


@pytest.mark.parametrize("patience", [0, 1, 2])
def test_the_trigger_is_that_of_the_algorithm(patience):
    for seed in range(50):
        losses = np.random.default_rng(seed).normal(-0.3, 1.0, 9).cumsum().tolist()
        found = (t for t in range(9) if triggers(losses[:t], losses[t], patience))
        assert next(found, None) == first_trigger(losses, patience)


def test_parameters_are_the_mean_of_all_from_the_trigger_on(config, tmp_path):
    plain_scores, iterates, _ = trained(config, tmp_path / "plain")
    config.training.update(averaging="triggered", averaging_patience=1)
    scores, params, results = trained(config, tmp_path / "averaged")
    begin = EVERY * (1 + first_trigger(scores.values(), 1))
    assert EVERY < begin < STEPS - EVERY
    for step in range(1, STEPS + 1):
        seen = [iterates[k] for k in range(min(begin, step), step + 1)]
        mean = jax.tree.map(lambda *leaves: np.mean(np.float64(leaves), axis=0), *seen)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), params[step], mean)
        if step in scores:
            assert (scores[step] == plain_scores[step]) == (step <= begin)
    assert results["splits"]["validation"]["nats_per_token"] == pytest.approx(scores[STEPS], 1e-6)


def test_from_the_start_it_is_the_mean_of_all(config, tmp_path):
    _, iterates, _ = trained(config, tmp_path / "plain")
    config.training.update(averaging="from_start", duration="2 steps")
    _, params, _ = trained(config, tmp_path / "averaged")
    first = jax.tree.map(lambda mean, one: 2 * mean - one, params[1], iterates[1])
    seen = first, iterates[1], iterates[2]
    mean = jax.tree.map(lambda *leaves: np.mean(leaves, axis=0), *seen)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), params[2], mean)


def test_an_unknown_averaging_is_refused(config, tmp_path):
    config.training.averaging = "trigered"
    with pytest.raises(UserError, match="did you mean 'triggered'"):
        train(config, tmp_path / "run", Console(file=io.StringIO()))
