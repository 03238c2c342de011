"""A run as its user sees it: refused in time, gone on with, begun from another."""

import io
import json

import jax
import numpy as np
import pytest
from rich.console import Console

from lmjax.checkpoints.store import Checkpoints
from lmjax.cli.main import main
from lmjax.config import base_config
from lmjax.data.tokenizer_registry import load_tokenizer
from lmjax.errors import UserError
from lmjax.objective_defaults import OBJECTIVES
from lmjax.objectives import registry
from lmjax.runs.run_directory import RunDirectory
from lmjax.training.run import train
from lmjax.training.warm_start import warm_start
from tests.training.test_step import CausalWithAnExtra

CONFIG = """
from lmjax.config import base_config

def get_config():
    config = base_config("rnn")
    config.data.update(corpus="text", files={files!r}, batch_size=4, length=16)
    config.model.update(width=8, layers=1, dropout=0.1)
    config.training.update(duration="12 steps", schedule="cosine", learning_rate=0.01)
    config.evaluation.every = "4 steps"
    config.checkpoint.every = "4 steps"
    config.logging.every = "1 steps"
    return config
"""


@pytest.fixture
def config(tmp_path):
    words = np.random.default_rng(0).choice(["the", "cat", "sat", "on", "a", "mat"], 3000)
    lines = [" ".join(part) for part in words.reshape(-1, 8)]
    (tmp_path / "text.txt").write_text("\n".join(lines) + "\n")
    text = CONFIG.format(files=str(tmp_path / "text.txt"))
    (tmp_path / "experiment.py").write_text(text)
    names = {}
    exec(text, names)
    return names["get_config"]()


def run(config, workdir):
    return train(config, workdir, Console(file=io.StringIO()))


def changed(config, **fields):
    config = config.copy_and_resolve_references()
    for name, value in fields.items():
        room, field = name.split("__")
        config[room][field] = value
    return config


def params_of(workdir, step):
    checkpoints = Checkpoints(workdir / "checkpoints", read_only=True)
    try:
        return checkpoints.restore_params(step)
    finally:
        checkpoints.close()


def rates_of(workdir):
    rows = RunDirectory(workdir).metrics()
    return {row["step"]: row["learning_rate"] for row in rows if row["kind"] == "train"}


@pytest.mark.parametrize(
    "wrong",
    [
        dict(model__cell="lstn"),
        dict(training__optimizer="adm"),
        dict(training__schedule="cosin"),
        dict(objective__name="casual"),
        dict(training__initial_params="no/such/run"),
        dict(health__on_spike="lg"),
        dict(logging__every="2 stpes"),
        dict(evaluation__checkpoint="bst"),
        dict(data__batching="windws"),
        dict(execution__mode="jot"),
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_a_mistake_is_refused_before_anything_is_written(wrong, config, tmp_path):
    with pytest.raises(UserError, match=next(iter(wrong.values())).split()[-1]):
        run(changed(config, **wrong), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_extras_of_an_objective_stand_in_the_metrics(config, tmp_path, monkeypatch):
    here = f"{CausalWithAnExtra.__module__}:{CausalWithAnExtra.__name__}"
    monkeypatch.setitem(registry.OBJECTIVES, "with_an_extra", here)
    monkeypatch.setitem(OBJECTIVES, "with_an_extra", {})
    run(changed(config, objective__name="with_an_extra"), tmp_path / "run")
    rows = [row for row in RunDirectory(tmp_path / "run").metrics() if row["kind"] == "train"]
    assert len(rows) == 12 and all(row["extras"]["size"] > 0 for row in rows)


def test_the_folder_alone_goes_on(config, tmp_path):
    workdir = tmp_path / "run"
    results = run(config, workdir)
    (workdir / "results.json").unlink()
    assert main(["train", f"--workdir={workdir}"]) == 0
    assert RunDirectory(workdir).results()["splits"] == results["splits"]
    assert main(["train", f"--workdir={tmp_path / 'absent'}"]) == 2
    assert not (tmp_path / "absent").exists()


def test_a_finished_run_goes_on_to_a_longer_duration(config, tmp_path):
    """Its schedule is that of the longer one from there on; all else is as if it had been asked."""
    workdir, straight = tmp_path / "run", tmp_path / "straight"
    first = run(config, workdir)
    assert first["training"]["continued_from"] == []
    longer = changed(config, training__duration="20 steps")
    results = run(longer, workdir)
    assert results["training"]["steps"] == 20
    assert results["training"]["continued_from"] == [12]
    assert results["training"]["duration"] == "20 steps"
    kept = json.loads((workdir / "results_after_12_steps.json").read_text())
    assert kept["splits"] == first["splits"]
    run(longer, straight)
    assert rates_of(workdir)[12] != rates_of(straight)[12]
    assert [rates_of(workdir)[step] for step in range(13, 21)] == [
        rates_of(straight)[step] for step in range(13, 21)
    ]
    examples = [
        [row["examples"] for row in RunDirectory(path).metrics() if row["kind"] == "train"]
        for path in (workdir, straight)
    ]
    assert examples[0] == examples[1]
    assert run(longer, workdir) == results


def test_a_continued_run_that_is_killed_goes_on(config, tmp_path):
    for name in ("straight", "killed"):
        run(config, tmp_path / name)
    longer = changed(config, training__duration="20 steps")
    results = run(longer, tmp_path / "straight")
    # As a kill between the two writes leaves it, and one after the first checkpoint.
    finished = RunDirectory(tmp_path / "killed").results()
    RunDirectory(tmp_path / "killed").reopen(longer, 12)
    RunDirectory(tmp_path / "killed").write_results(finished)
    run(longer, tmp_path / "killed")
    (tmp_path / "killed" / "results.json").unlink()
    assert run(longer, tmp_path / "killed")["splits"] == results["splits"]
    assert RunDirectory(tmp_path / "killed").results()["training"]["continued_from"] == [12]


@pytest.mark.parametrize("duration", ["12 step", "8 steps"])
def test_a_finished_run_is_not_shortened(duration, config, tmp_path):
    results = run(config, tmp_path / "run")
    with pytest.raises(UserError, match="finished after 12 steps, and .* is not longer"):
        run(changed(config, training__duration=duration), tmp_path / "run")
    assert run(config, tmp_path / "run") == results


def test_a_warm_start_begins_with_the_parameters_of_another_run(config, tmp_path):
    source = tmp_path / "source"
    scored = run(config, source)["training"]["scored_step"]
    for text, step in ((str(source), scored), (f"{source}@8", 8)):
        workdir = tmp_path / f"from_{step}_{len(text)}"
        still = changed(config, training__initial_params=text, training__learning_rate=0.0)
        results = run(still, workdir)
        assert results["training"]["initial_params"].startswith(f"{source}@{step} (")
        same = jax.tree.map(np.array_equal, params_of(workdir, 12), params_of(source, step))
        assert all(jax.tree.leaves(same))
    with pytest.raises(UserError, match="training.initial_params"):
        run(config, workdir)  # it is part of what a run is


def test_what_a_run_cannot_begin_with_is_refused(config, tmp_path):
    run(config, tmp_path / "source")
    config = changed(config, training__initial_params=str(tmp_path / "source"))
    with pytest.raises(UserError, match="training.initial_params .*source.* does not fit"):
        run(changed(config, model__width=16), tmp_path / "run")
    with pytest.raises(UserError, match="training.initial_params .* entries of another vocabulary"):
        run(changed(config, data__tokenizer="character"), tmp_path / "run")
    missing = changed(config, training__initial_params=f"{tmp_path / 'source'}@7")
    with pytest.raises(UserError, match="training.initial_params .* no checkpoint at step 7"):
        run(missing, tmp_path / "run")
    counted = base_config("ngram")
    counted.data.update(config.data)
    counted.training.initial_params = str(tmp_path / "source")
    with pytest.raises(UserError, match="leave training.initial_params out"):
        run(counted, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_is_said_of_another_run_needs_one(config, tmp_path):
    with pytest.raises(UserError, match="initial_new is .'head',., but there is no other run"):
        run(changed(config, training__initial_new=("head",)), tmp_path / "run")


def test_a_run_that_was_begun_no_longer_needs_the_other_one(config, tmp_path):
    run(config, tmp_path / "source")
    config = changed(config, training__initial_params=str(tmp_path / "source"))
    results = run(config, tmp_path / "run")
    (tmp_path / "source").rename(tmp_path / "gone")
    (tmp_path / "run" / "results.json").unlink()
    assert run(config, tmp_path / "run")["splits"] == results["splits"]


def test_a_folder_whose_name_looks_like_a_step_is_a_run(config, tmp_path):
    run(config, tmp_path / "try@3")
    tokenizer = load_tokenizer(RunDirectory(tmp_path / "try@3").tokenizer_path)
    like = params_of(tmp_path / "try@3", 12)
    config.training.initial_params = str(tmp_path / "try@3")
    found = warm_start(config.training, tokenizer, like)
    assert found.origin.startswith(f"{tmp_path / 'try@3'}@")
