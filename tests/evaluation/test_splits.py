"""Which splits of a run are scored, by whom, and that nobody reads the test split unseen."""

import dataclasses
import io
import json
import math

import jax
import numpy as np
import pytest
from rich.console import Console

import lmjax.api
from lmjax.cli.main import main
from lmjax.config import base_config
from lmjax.errors import UserError
from lmjax.evaluation.score import Score
from lmjax.runs.lock import only_writer
from lmjax.runs.run_directory import RunDirectory
from lmjax.training.run import train


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("splits")
    words = np.random.default_rng(0).choice(["the", "cat", "sat", "here"], 8000)
    text = "\n".join(" ".join(part) for part in words.reshape(-1, 10)) + "\n"
    (folder / "text.txt").write_text(text)
    return folder


def configuration(folder, family="rnn", **evaluation):
    config = base_config(family)
    config.data.update(
        corpus="text", files=str(folder / "text.txt"), tokenizer="word", batch_size=4, length=16
    )
    if family == "rnn":
        config.model.update(width=8, layers=1)
        config.training.duration = "4 steps"
    config.evaluation.update(evaluation)
    return config


def train_quietly(config, workdir):
    console = Console(file=io.StringIO(), width=200)
    return train(config, workdir, console), console.file.getvalue()


def test_reads(workdir):
    path = workdir / "test_reads.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


test_reads.__test__ = False


@pytest.fixture
def run(folder, tmp_path):
    train_quietly(configuration(folder), tmp_path / "run")
    return tmp_path / "run"


@pytest.mark.parametrize("family", ["rnn", "ngram"])
def test_training_reads_the_test_split_only_when_asked(folder, tmp_path, family):
    results, printed = train_quietly(configuration(folder, family), tmp_path / "without")
    assert set(results["splits"]) == {"validation"}
    assert not test_reads(tmp_path / "without") and "test perplexity" not in printed
    asked = configuration(folder, family, splits=("test", "validation"))
    results, printed = train_quietly(asked, tmp_path / "with")
    assert set(results["splits"]) == {"validation", "test"}
    (read,) = test_reads(tmp_path / "with")
    assert read["context"] == "carried" and "evaluation.splits" in read["reader"]
    assert read["step"] == results["training"]["scored_step"]
    assert read["fingerprint"] == results["splits"]["test"]["fingerprint"]
    assert "result: test perplexity" in printed


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"splits": ("validation", "tset")}, "no split 'tset': did you mean 'test'"),
        ({"splits": ("test",), "context": "windowed", "window": 10_000}, "fewer than the window"),
    ],
)
def test_a_split_that_cannot_be_scored_is_refused_before_training(
    folder, tmp_path, fields, message
):
    config = configuration(folder, "ngram", **fields)
    with pytest.raises(UserError, match=message):
        train_quietly(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_text_without_words_is_scored_to_the_end(tmp_path):
    (tmp_path / "text.txt").write_text(" " * 4000)
    config = configuration(tmp_path, "ngram")
    config.data.tokenizer = "byte"
    results, _ = train_quietly(config, tmp_path / "run")
    score = results["splits"]["validation"]
    assert score["word_perplexity"] is None and score["bits_per_byte"] >= 0


def test_evaluate_adds_its_score_to_the_results(run):
    before = RunDirectory(run).results()
    score = lmjax.api.evaluate(run, "test", reader="a test")
    after = RunDirectory(run).results()
    assert Score.from_json(after["splits"]["test"]) == score
    assert {**after, "splits": before["splits"]} == before
    assert after["splits"]["validation"] == before["splits"]["validation"]
    assert [read["reader"] for read in test_reads(run)] == ["a test"]
    lmjax.api.evaluate(run, "test")
    assert len(test_reads(run)) == 2
    again = lmjax.api.evaluate(run)
    assert again.total_nats == before["splits"]["validation"]["total_nats"]
    assert len(test_reads(run)) == 2, "validation is no test split"


def test_a_score_in_another_context_or_of_another_checkpoint_is_not_the_runs(run):
    before = (run / "results.json").read_bytes()
    score = lmjax.api.evaluate(run, "test", rows=2, overlap=7)
    assert score.context == "carried_2_rows_overlap_7"
    assert test_reads(run)[0]["context"] == score.context
    others = [int(path.name) for path in (run / "checkpoints").iterdir() if path.name.isdecimal()]
    scored = json.loads(before)["training"]["scored_step"]
    other = next(step for step in others if step != scored)
    lmjax.api.evaluate(run, "test", step=other)
    assert (run / "results.json").read_bytes() == before
    assert [read["step"] for read in test_reads(run)] == [scored, other]


def test_a_score_is_not_put_into_the_results_while_another_process_writes_them(run):
    with only_writer(run), pytest.raises(UserError, match="is being written"):
        lmjax.api.evaluate(run, "validation")


@pytest.mark.parametrize(
    ("context", "message"),
    [
        ({"stride": 3}, "stride is of a windowed context, and this one is carried"),
        ({"context": "windowed", "rows": 2}, "rows is of a carried context"),
        ({"context": "windowed", "overlap": 2}, "overlap is of a carried context"),
        ({"wndow": 3}, "no field 'wndow': did you mean 'window'"),
        ({"context": "window"}, "did you mean 'windowed'"),
        ({"rows": 0}, "evaluation.rows is 0"),
    ],
)
def test_a_context_that_does_not_apply_is_refused(run, context, message):
    with pytest.raises(UserError, match=message):
        lmjax.api.evaluate(run, "test", **context)
    assert not test_reads(run), "nothing was read"


@pytest.mark.parametrize("end", [True, False])
@pytest.mark.parametrize("finished", [True, False])
def test_a_corpus_that_has_changed_is_noticed(folder, run, finished, end):
    if not finished:
        (run / "results.json").unlink()
    text = folder / "text.txt"
    content = text.read_text()
    text.write_text(content[:-4] + "sat\n" if end else "sat" + content[3:])
    try:
        if end and not finished:
            lmjax.api.evaluate(run)  # an unfinished run knows its training text alone
            return
        with pytest.raises(UserError, match="the corpus has changed"):
            lmjax.api.evaluate(run)
    finally:
        text.write_text(content)


def test_the_verb_prints_strict_json_and_warns_of_what_went_astray(run, capsys, monkeypatch):
    trained = lmjax.api.load(run)
    scaled = jax.tree.map(lambda leaf: leaf * 300, trained.params)
    broken = dataclasses.replace(trained, params=scaled)
    monkeypatch.setattr(lmjax.api, "load", lambda workdir, step: broken)
    assert main(["evaluate", f"--workdir={run}"]) == 0
    printed = capsys.readouterr()
    result = json.loads(printed.out, parse_constant=pytest.fail)
    assert result["nats_per_token"] > math.log(6)
    assert "went astray" in printed.err and "went astray" in (run / "log.txt").read_text()
    assert "segments" not in result and result["unknowns"] == 0


def test_the_verb_refuses_what_cannot_be(run, capsys):
    for flag, message in (
        ("--random_batches=-4", "--random_batches is -4"),
        ("--stride=4", "windowed context"),
        ("--split=tset", "did you mean 'test'"),
    ):
        assert main(["evaluate", f"--workdir={run}", flag]) == 2
        assert message in capsys.readouterr().err
