"""`import lmjax` as a library, and the verbs that stand on it, on one small trained run."""

import io
import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import lmjax
from lmjax.cli.main import main
from lmjax.errors import UserError


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("api")
    words = np.random.default_rng(0).choice(["the", "cat", "sat", "caf\xe9"], 3000)
    text = "\n".join(" ".join(part) for part in words.reshape(-1, 10)) + "\n"
    (folder / "text.txt").write_text(text)
    config = lmjax.base_config("rnn")
    config.data.update(
        corpus="text", files=str(folder / "text.txt"), tokenizer="word", batch_size=4, length=16
    )
    config.model.update(width=8, layers=1)
    config.training.duration = "10 steps"
    config.evaluation.splits = ("validation", "test")
    lmjax.train(config, folder / "run", Console(file=io.StringIO()))
    return folder / "run"


def test_names_are_imported_when_they_are_used():
    code = (
        "import sys, lmjax; assert set(lmjax.PUBLIC) <= set(dir(lmjax));"
        "heavy = {'jax', 'numpy', 'absl', 'rich'} & set(sys.modules); assert not heavy, heavy;"
        "print(*[getattr(lmjax, name).__name__ for name in lmjax.PUBLIC])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.stdout.split() == list(lmjax.PUBLIC), ended.stderr
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        lmjax.lod  # noqa: B018


def test_every_name_is_documented():
    guide = (Path(__file__).parent.parent / "docs" / "python_api.md").read_text()
    assert [name for name in lmjax.PUBLIC if f"lmjax.{name}" not in guide] == []


def test_generate(workdir):
    model = lmjax.load(workdir)
    text = model.generate("the cat", length=30, seed=3)
    assert text == model.generate("the cat", length=30, seed=3)
    assert text != model.generate("the cat", length=30, seed=4)
    assert text[0] in " \n", "words are apart"
    assert set(text.split()) <= {"the", "cat", "sat", "caf\xe9", "<unk>"}
    both = model.generate(["the cat", "sat"], length=5)
    assert len(both) == 2
    pieces = []
    assert model.generate("the cat", length=30, seed=3, on_text=pieces.append) == text
    assert "".join(pieces) == text and len(pieces) > 1
    assert model.generate([]) == model.generate([], on_text=pieces.append) == []


def test_score_is_the_sum_over_tokens(workdir):
    model = lmjax.load(workdir)
    text = "the cat sat\ncaf\xe9 the cat\n"
    ids = [int(token) for token in model.tokenizer.encode(text)]
    read = np.array([[model.tokenizer.start_id, *ids[:-1]]], np.int32)
    logits_BTV, _ = model.model.apply(model.params, read)
    logits_TV = np.asarray(logits_BTV[0], np.float64)
    log_probs_TV = logits_TV - np.log(np.exp(logits_TV).sum(-1, keepdims=True))
    nats = -log_probs_TV[np.arange(len(ids)), ids].sum()
    score = model.score(text)
    assert score.total_nats == pytest.approx(nats, rel=1e-5)
    assert score.tokens == len(ids) == 8
    assert score.bits_per_byte == pytest.approx(nats / math.log(2) / len(text.encode()), rel=1e-5)


def test_evaluate_agrees_with_the_results(workdir, capsys):
    assert main(["evaluate", f"--workdir={workdir}", "--split=test", "--random_batches=2"]) == 0
    printed = json.loads(capsys.readouterr().out)
    results = json.loads((workdir / "results.json").read_text())
    assert printed["total_nats"] == pytest.approx(results["splits"]["test"]["total_nats"])
    assert 0 < printed["nats_per_token_on_random_windows"] < math.log(10)
    assert "test is read" in (workdir / "log.txt").read_text()


def test_evaluate_refuses_another_vocabulary(workdir, capsys, monkeypatch, tmp_path):
    text = workdir.parent / "text.txt"
    content = text.read_text()
    text.write_text(content + "novel words\n" * 300)
    try:
        assert main(["evaluate", f"--workdir={workdir}"]) == 2
    finally:
        text.write_text(content)
    assert "the corpus has changed" in capsys.readouterr().err


def test_sample_writes_the_prompt_and_what_follows(workdir, capsys):
    arguments = [f"--workdir={workdir}", "--length=5", "--temperature=0"]
    assert main(["sample", "--prompt=the cat", *arguments]) == 0
    expected = lmjax.load(workdir).generate("the cat", length=5, temperature=0)
    assert capsys.readouterr().out == f"the cat{expected}\n"
    assert main(["sample", "--prompt=the dog", *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and "'dog'" in printed.err


@pytest.mark.parametrize("number", [0, -1])
def test_a_number_of_samples_that_cannot_be(workdir, capsys, number):
    assert main(["sample", f"--workdir={workdir}", f"--samples={number}"]) == 2
    assert f"--samples={number}" in capsys.readouterr().err


def test_a_terminal_that_lacks_a_character_is_shown_its_escape(workdir):
    command = [sys.executable, "-m", "lmjax", "sample", f"--workdir={workdir}", "--prompt=caf\xe9"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    ended = subprocess.run([*command, "--length=1"], env=environment, capture_output=True)
    assert ended.stdout.startswith(rb"caf\xe9"), ended.stderr


def test_doctor_and_versions(capsys):
    assert main(["doctor", "--self_test=false"]) == 0
    assert "nothing is wrong" in capsys.readouterr().out
    assert main(["--version"]) == 0
    assert f"lmjax {lmjax.__version__}" in capsys.readouterr().out


def test_a_missing_checkpoint_is_named(workdir):
    with pytest.raises(UserError, match="no checkpoint at step 7"):
        lmjax.load(workdir, step=7)


def test_a_checkpoint_of_another_model_is_named(workdir, tmp_path):
    shutil.copytree(workdir, tmp_path / "other")
    config = json.loads((tmp_path / "other" / "config.json").read_text())
    config["model"]["layers"] += 1
    (tmp_path / "other" / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="does not fit: params/params/.* is absent there"):
        lmjax.load(tmp_path / "other")
    (tmp_path / "new" / "checkpoints").mkdir(parents=True)
    for name in ("config.json", "tokenizer.json"):
        shutil.copy(workdir / name, tmp_path / "new" / name)
    with pytest.raises(UserError, match="has no checkpoint yet"):
        lmjax.load(tmp_path / "new")
