"""Tuning by real training, of a few steps on a few lines."""

import io
import json

import pytest
from rich.console import Console

import lmjax
from lmjax.studies.executors import InTurn
from lmjax.studies.spaces import LogUniform
from lmjax.studies.study import Arm, Study, Tuning
from tests.studies.fake_runs import make_config


@pytest.fixture
def arms(tmp_path):
    (tmp_path / "text.txt").write_text("to be or not to be, that is the question\n" * 100)

    def arm(cell):
        config = make_config(cell=cell, layers=1, width=8)
        config.data.update(corpus="text", files=str(tmp_path / "text.txt"), batch_size=2, length=8)
        config.training.duration = "12 steps"
        config.evaluation.every = "6 steps"
        return Arm(cell, config)

    return arm("elman"), arm("gru")


def conduct(study, workdir, **options):
    found = lmjax.study(study, workdir, Console(file=io.StringIO()), **options)
    assert found.failures == []
    return found


@pytest.mark.parametrize("replicas", [1, 0])
def test_trials_of_a_later_rung_go_on_where_they_were(replicas, arms, tmp_path):
    tuning = Tuning(
        {"training.learning_rate": LogUniform(1e-4, 1e-1)},
        "2 steps",
        search="successive_halving",
        trials=4,
        factor=2,
    )
    study = Study("rungs", "Which?", arms, "gru", matched=(), tuning=tuning, continuation_length=2)
    workdir = tmp_path / "study"
    conduct(study, workdir, executor=InTurn(replicas))
    for arm in ("elman", "gru"):
        results = [
            json.loads(path.read_text())["training"]
            for path in (workdir / "tuning" / arm).rglob("results.json")
        ]
        assert sorted(run["steps"] for run in results) == [2, 2, 4, 4]
        longer = [run for run in results if run["steps"] == 4]
        assert [run["continued_from"] for run in longer] == [[2], [2]]
        tuned = json.loads((workdir / "tuning" / arm / "tuning.json").read_text())
        assert [trial["times"] for trial in tuned["trials"]] == [1] * 4 + [2] * 2
        tokens = [trial["tokens"] for trial in tuned["trials"]]
        assert tokens == [2 * 16] * 4 + [4 * 16] * 2
        last = tuned["trials"][4:]
        assert tuned["chosen"] == min(last, key=lambda trial: trial["bits_per_byte"])["fields"]
    report = (workdir / "report.md").read_text()
    assert "| 4 | 64 | 192 |" in report, "trials, tokens of the longest, and of all"
