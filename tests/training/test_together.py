"""Replicas of one program are the runs that each would have been alone."""

import io
import os
import signal

import jax
import numpy as np
import pytest
from rich.console import Console

import lmjax
from lmjax.config import base_config
from lmjax.errors import DivergedError, InUseError, Stopped, UserError
from lmjax.runs.lock import only_writer
from lmjax.runs.run_directory import RunDirectory
from lmjax.training import loop, replicas
from lmjax.training.metrics import CLOCKS
from lmjax.training.replicas import Replicas
from lmjax.training.run import train
from lmjax.training.together import shared_program, train_together

VARIED = {
    "a": {"seed": 0},
    "b": {"seed": 3, "training.learning_rate": 0.003, "model.dropout": 0.0},
    "c": {"training.weight_decay": 0.5, "model.initialization": 0.3, "model.dropout": 0.4},
}


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("together") / "text.txt"
    words = np.random.default_rng(0).choice(["the", "cat", "sat", "on", "a", "mat"], 3000)
    path.write_text("\n".join(" ".join(part) for part in words.reshape(-1, 8)) + "\n")
    return str(path)


def config_of(text, family="rnn", **fields):
    config = base_config(family)
    config.data.update(corpus="text", files=text, batch_size=4, length=16)
    config.model.update(width=16, layers=1, dropout=0.1, initialization=0.1)
    config.training.update(duration="24 steps", learning_rate=0.01, clip_norm=1.0)
    config.evaluation.every = "10 steps"
    config.checkpoint.every = "8 steps"
    config.logging.every = "6 steps"
    if family == "transformer":
        config.model.context_length = 16
    config.update_from_flattened_dict(fields)
    return config


def varied(text, family="rnn", **fields):
    return {name: config_of(text, family, **fields | own) for name, own in VARIED.items()}


def together(folder, configs, **options):
    output = io.StringIO()
    paths = {folder / name: config for name, config in configs.items()}
    console = Console(file=output, width=200)
    found = train_together(paths, console, **options)
    return {path.name: outcome for path, outcome in found.items()}, output.getvalue()


def assert_same_run(first, second):
    assert_same_params(first, second)
    rows = [RunDirectory(path).metrics() for path in (first, second)]
    for one, other in zip(*rows, strict=True):
        assert one.keys() == other.keys()
        for name in one.keys() - CLOCKS:
            if isinstance(one[name], float):
                assert one[name] == pytest.approx(other[name], rel=1e-3), name
            else:
                assert one[name] == other[name], name


def assert_same_params(first, second):
    # Adam divides gradients near zero by their rounding.
    params = [lmjax.load(path).params for path in (first, second)]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-4), *params)


@pytest.mark.parametrize(("family", "schedule"), [("rnn", "plateau"), ("transformer", "cosine")])
def test_each_replica_is_the_run_alone(tmp_path, text, family, schedule, monkeypatch):
    fields = {"training.schedule": schedule, "evaluation.checkpoint": "last"}
    if family == "rnn":  # parameters are averaged from the first evaluation on
        fields["training.averaging"] = "triggered"
        monkeypatch.setattr(loop, "triggers", lambda before, now, patience: not before)
    configs = varied(text, family, **fields)
    outcomes, shown = together(tmp_path / "together", configs)
    for name, config in configs.items():
        train(config, tmp_path / "alone" / name, Console(quiet=True))
        assert_same_run(tmp_path / "alone" / name, tmp_path / "together" / name)
        training = outcomes[name]["training"]
        assert (training["replicas"], training["steps"]) == (3, 24)
        kept = RunDirectory(tmp_path / "together" / name).config()
        assert kept.to_dict() == config.to_dict()
    assert shown.count("step 24/24") == 1
    a, b = (lmjax.load(tmp_path / "together" / name).params for name in "ab")
    assert not np.allclose(jax.tree.leaves(a)[-1], jax.tree.leaves(b)[-1], atol=1e-2)
    again, shown = together(tmp_path / "together", configs)
    assert shown.count("nothing to do") == 3 and again == outcomes


def test_a_replica_that_diverges_ends_and_the_others_go_on(tmp_path, text):
    configs = varied(text)
    configs["b"].training.learning_rate = 1e38
    outcomes, shown = together(tmp_path, configs)
    assert isinstance(outcomes["b"], DivergedError)
    assert "b ends, the others go on" in shown
    train(configs["a"], tmp_path / "alone", Console(quiet=True))
    assert_same_run(tmp_path / "alone", tmp_path / "a")
    assert outcomes["c"]["splits"]["validation"]["bits_per_byte"] < 5


def test_a_run_that_cannot_begin_keeps_no_other_from_training(tmp_path, text):
    configs = varied(text)
    other = config_of(text, **{"model.width": 8})
    train(other, tmp_path / "c", Console(quiet=True))
    with only_writer(tmp_path / "a"):
        outcomes, _ = together(tmp_path, configs)
    assert isinstance(outcomes["a"], InUseError)
    assert isinstance(outcomes["c"], UserError)
    assert outcomes["b"]["training"]["steps"] == 24


def test_what_a_signal_stops_goes_on_together_or_alone(tmp_path, text, monkeypatch):
    configs, step, calls = varied(text), Replicas.step, []

    def stopped_at_step(self, batches):
        calls.append(batches)
        if len(calls) == 13:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(self, batches)

    monkeypatch.setattr(Replicas, "step", stopped_at_step)
    with pytest.raises(Stopped, match="step 13, saved"):
        together(tmp_path, configs)
    train(configs["b"], tmp_path / "b", Console(quiet=True))
    outcomes, shown = together(tmp_path, configs)
    assert "resumed at step 13" in shown
    assert [outcome["training"].get("replicas") for outcome in outcomes.values()] == [2, 1, 2]
    for name, config in configs.items():
        train(config, tmp_path / "alone" / name, Console(quiet=True))
        assert_same_run(tmp_path / "alone" / name, tmp_path / name)


def test_a_replica_rolls_back_alone(tmp_path, text, monkeypatch):
    configs = varied(text, **{"health.on_nonfinite": "rollback"})
    step, calls = Replicas.step, []

    def spoiled(self, batches):
        calls.append(batches)
        if len(calls) == 12:
            weights_BT = np.full_like(batches[1].weights_BT, np.nan)
            batches = {**batches, 1: batches[1].replace(weights_BT=weights_BT)}
        return step(self, batches)

    monkeypatch.setattr(Replicas, "step", spoiled)
    outcomes, _ = together(tmp_path, configs)
    assert [outcome["training"]["rollbacks"] for outcome in outcomes.values()] == [0, 1, 0]
    assert len(calls) == 13 + 14  # seen after 13 steps; back to the tenth, evaluated and saved
    train(configs["c"], tmp_path / "alone", Console(quiet=True))
    assert_same_run(tmp_path / "alone", tmp_path / "c")


def test_memory_decides_how_many_train_at_a_time(tmp_path, text, monkeypatch):
    short = {"training.duration": "2 steps", "evaluation.every": "0 steps"}
    configs = {str(seed): config_of(text, seed=seed, **short) for seed in range(3)}

    def replicas_of(name, **options):
        outcomes, shown = together(tmp_path / name, configs, **options)
        return [outcome["training"]["replicas"] for outcome in outcomes.values()], shown

    assert replicas_of("two", most=2)[0] == [2, 2, 1]
    monkeypatch.setattr(replicas, "available_bytes", lambda device: 0)
    counts, shown = replicas_of("one")
    assert counts == [1, 1, 1]
    assert "memory has room for 1 of 3 runs at a time" in shown


def test_what_fails_for_all_ends_those_that_share_the_program_alone(tmp_path, text, monkeypatch):
    short = {"training.duration": "2 steps", "evaluation.every": "0 steps"}
    configs = {str(seed): config_of(text, seed=seed, **short) for seed in range(4)}
    train(configs["0"], tmp_path / "0", Console(quiet=True))
    step, programs = Replicas.step, []

    def failing(self, batches):
        programs.append(self)
        if self is not programs[0]:
            raise RuntimeError("out of luck")
        return step(self, batches)

    monkeypatch.setattr(Replicas, "step", failing)
    outcomes, _ = together(tmp_path, configs, most=2)
    assert [outcomes[name]["training"]["steps"] for name in "012"] == [2, 2, 2]
    assert str(outcomes["3"]) == "out of luck"


@pytest.mark.parametrize(
    "fields",
    [{"model.width": 8}, {"training.duration": "9 steps"}, {"data.batch_size": 8}],
)
def test_only_runs_of_one_shape_share_a_program(text, fields):
    base = config_of(text)
    programs = {shared_program(config) for config in varied(text).values()}
    assert programs == {shared_program(base)}
    assert shared_program(config_of(text, **fields)) not in programs


def test_batches_of_many_shapes_and_other_executions_train_alone():
    assert shared_program(base_config("seq2seq")) is None
    for field, value in (("batching", "examples"), ("length_deviation", 5.0)):
        config = base_config("rnn")
        config.data[field] = value
        assert shared_program(config) is None
    config = base_config("rnn")
    config.execution.mode = "pmap"
    assert shared_program(config) is None
    config = base_config("rnn")
    config.execution.mesh = ("data=1",)
    assert shared_program(config) is None
