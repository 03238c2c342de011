"""`lmjax vectors`: of a trained model and of a file, and that a mistake is one line."""

import json

import numpy as np
import pytest

from lmjax.cli.main import main
from lmjax.config import base_config, objective_config
from lmjax.data.word_vectors import WordVectors, read_word_vectors, write_word_vectors
from lmjax.runs.run_directory import RunDirectory
from lmjax.training.run import train


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vectors")
    words = np.random.default_rng(0).choice(["boy", "girl", "brother", "sister"], 2000)
    lines = "\n".join(" ".join(part) for part in words.reshape(-1, 10)) + "\n"
    (folder / "text.txt").write_text(lines)
    config = base_config("rnn")
    config.data.update(corpus="text", files=str(folder / "text.txt"), tokenizer="word")
    config.data.update(batch_size=4, length=8)
    config.model.update(width=4, layers=1, embedding_width=3)
    config.training.duration = "2 steps"
    train(config, folder / "run")
    return folder / "run"


def test_a_models_embedding_is_exported_and_read_back(run, tmp_path, capsys):
    output = tmp_path / "vectors.txt"
    assert main(["vectors", "export", f"--workdir={run}", f"--output={output}"]) == 0
    assert "6 vectors of width 3" in capsys.readouterr().out
    found = read_word_vectors(output)
    assert set(found.words) == {"</s>", "<unk>", "boy", "girl", "brother", "sister"}
    assert main(["vectors", "neighbours", f"--file={output}", "--words=boy", "--count=5"]) == 0
    printed = capsys.readouterr().out
    assert all(word in printed for word in found.words)


def test_tests_of_a_run_are_kept_in_its_results(run, data_dir, capsys):
    assert main(["vectors", "evaluate", f"--workdir={run}"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["analogies"]["sections"]["family"]["covered"] == 2
    assert RunDirectory(run).results()["word_vectors"] == printed
    assert set(RunDirectory(run).results()["splits"]) == {"validation"}


def test_a_file_is_tested_alike(data_dir, tmp_path, capsys):
    words = ("boy", "girl", "brother", "sister")
    vectors = np.float32([[1, 0], [1, 1], [2, 0], [2, 2]])
    write_word_vectors(tmp_path / "vectors.txt.gz", WordVectors(words, vectors))
    assert main(["vectors", "evaluate", f"--file={tmp_path}/vectors.txt.gz"]) == 0
    assert json.loads(capsys.readouterr().out)["words"] == 4


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["export"], "--output=FILE is missing"),
        (["export", "--output=x.txt"], "--workdir=DIR is missing"),
        (["evaluate"], "one of them"),
        (["evaluate", "--file=nowhere.txt"], "cannot read nowhere.txt"),
        (["neighbours", "--file=x"], "--words=WORD"),
        (["show"], "export"),
        ([], "say what to do"),
    ],
)
def test_a_mistake_is_one_line(arguments, said, capsys):
    assert main(["vectors", *arguments]) == 2
    told = capsys.readouterr().err
    assert said in told and told.count("\n") == 1


@pytest.mark.parametrize("objective", ["cbow", "glove"])
def test_vectors_are_trained_exported_and_reported_like_every_model(objective, run, capsys):
    config = base_config("word_vectors")
    with config.unlocked():
        config.objective = objective_config(objective)
    config.model.update(width=3, biases=objective == "glove")
    config.data.update(corpus="text", files=str(run.parent / "text.txt"), batch_size=2, length=8)
    config.data.batching = "cooccurrences" if objective == "glove" else "windows"
    config.training.update(duration="3 steps", optimizer="adagrad")
    results = train(config, run.parent / objective)
    score = results["splits"]["validation"]
    assert score["total_nats"] > 0 and score["tokens"] > 0 and score["bits_per_byte"] is None
    output = run.parent / f"{objective}.txt"
    workdir = f"--workdir={run.parent / objective}"
    assert main(["vectors", "export", workdir, f"--output={output}"]) == 0
    assert read_word_vectors(output).width == 3
    assert main(["report", workdir]) == 0
