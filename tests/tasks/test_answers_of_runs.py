"""A run answers to its splits: the metrics agree with its score, and the answers can be read."""

import json
from dataclasses import replace

import jax
import numpy as np
import pytest

import lmjax
from lmjax.cli.main import main
from lmjax.config import base_config, objective_config
from lmjax.data.corpora import has_second_texts, open_corpus
from lmjax.data.lines import Line
from lmjax.errors import DivergedError, UserError
from lmjax.runs.run_directory import RunDirectory
from lmjax.training.prepare import prepare
from lmjax.training.run import train


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A classifier that has learnt some of its labels."""
    folder = tmp_path_factory.mktemp("labels")
    generator, rows = np.random.default_rng(0), []
    for number in range(300):
        words = [str(word) for word in generator.choice(["film", "plot", "actor"], 4)]
        words[generator.integers(4)] = ["bad", "good", "dull"][number % 3]
        rows.append({"source": f"{number} " + " ".join(words), "target": "nyd"[number % 3]})
    (folder / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = base_config("classifier")
    config.model.dropout = 0.0
    config.model.backbone.update(layers=1, width=16, heads=2, dropout=0.0, context_length=40)
    config.data.update(corpus="parallel", files=str(folder / "pairs.jsonl"), batch_size=16)
    config.data.update(source_tokenizer="word", source_length=32, special_tokens=("separator",))
    config.training.update(duration="8 steps", learning_rate=1e-2)
    config.evaluation.every = config.logging.every = "100 percent"
    train(config, folder / "run")
    return RunDirectory(folder / "run")


def predictions_of(run, split):
    lines = (run.path / "predictions" / f"{split}.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_the_metrics_agree_with_the_score_and_with_the_answers(run):
    score = run.results()["splits"]["validation"]
    task, rows = score["task"], predictions_of(run, "validation")
    assert task["kind"] == "classification" and task["examples"] == len(rows) == score["tokens"]
    assert task["metrics"]["accuracy"] == pytest.approx(score["accuracy"])
    right = [row["prediction"] == row["reference"] for row in rows]
    assert np.mean(right) == pytest.approx(score["accuracy"])
    nats = -sum(np.log(row["probabilities"][row["reference"]]) for row in rows)
    assert nats == pytest.approx(score["total_nats"], rel=1e-5)
    for row in rows:
        assert set(row["probabilities"]) == set("nyd")
        assert sum(row["probabilities"].values()) == pytest.approx(1)
        assert row["probability"] == max(row["probabilities"].values())
    low, high = task["intervals"]["accuracy"]
    assert low <= task["metrics"]["accuracy"] <= high and set(task["baselines"]) == {
        "majority_class"
    }


def test_evaluate_prints_the_same_and_reads_test_once(run, capsys):
    assert main(["evaluate", f"--workdir={run.path}", "--split=test"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["task"] == run.results()["splits"]["test"]["task"]
    assert len((run.path / "test_reads.jsonl").read_text().splitlines()) == 1
    assert len(predictions_of(run, "test")) == printed["tokens"]
    trained = lmjax.load(run.path)
    trained.evaluate("test")
    assert run.results()["splits"]["test"]["task"] == printed["task"]


def test_a_text_is_labelled_as_in_its_split(run):
    rows = predictions_of(run, "validation")
    trained = lmjax.load(run.path)
    labels = trained.classify([row["source"] for row in rows])
    for row, label in zip(rows, labels, strict=True):
        assert label["label"] == row["prediction"]
        assert label["probability"] == pytest.approx(row["probability"], abs=1e-6)
    assert trained.classify(rows[0]["source"]) == labels[0]
    with pytest.raises(UserError, match="text 2 has an empty text"):
        trained.classify(["film", ""])
    with pytest.raises(UserError, match=r"text 1 \('film film.*has 41 tokens.*reads 40 at most"):
        trained.classify("film " * 41)


def test_texts_that_are_none_or_lack_second_ones_are_told_with_their_counts(run):
    trained = lmjax.load(run.path)
    for texts, seconds, message in (
        ([], None, "there is no text"),
        ([], [], "there is no text"),
        (["film", "plot"], ["bad"], "texts are 2 and second ones 1"),
        (["film", "plot"], "no", "texts are 2 and second ones 1"),
    ):
        with pytest.raises(UserError, match=message):
            trained.classify(texts, seconds)


def test_a_second_text_of_a_model_of_single_ones_is_told(run):
    """Also if its tokens have one to stand between two texts."""
    trained, second = lmjax.load(run.path), Line("line 2", "film", "bad")
    with pytest.raises(UserError, match="trained on single texts; leave the second one out"):
        trained.classify("film", "plot")
    first, other = trained.predict([Line("line 1", "film"), second])
    assert "prediction" in first and "prediction" not in other
    assert other["error"] == "the model was trained on single texts; leave the second one out"


@pytest.mark.parametrize(
    ("corpus", "has"), [("stsbenchmark", True), ("squad", True), ("trec", False)]
)
def test_whether_texts_are_two_is_known_without_the_corpus(data_dir, corpus, has):
    config = base_config("classifier")
    config.data.update(corpus=corpus)
    documents = open_corpus(config.data).documents()[0]["train"]
    assert has_second_texts(config.data) == has == (documents[0].second is not None)


@pytest.mark.parametrize("given", [None, 3, b"film", {"text": "film"}, object])
def test_what_holds_no_texts_is_told_by_its_type(run, given):
    trained = lmjax.load(run.path)
    for asked in (trained.classify, trained.embed, lambda x: list(trained.predict(x))):
        with pytest.raises(UserError, match=r"(None|an? \w+) is no text; give a str, or a list"):
            asked(given)
    with pytest.raises(UserError, match="is no text"):
        trained.similarity("film", given)


@pytest.mark.parametrize("other", [None, 3, b"film", ("film", "plot"), ["film"]])
def test_a_text_that_is_none_is_told_with_its_number(run, other):
    trained = lmjax.load(run.path)
    for asked in (trained.classify, trained.embed, lambda x: list(trained.predict(x))):
        with pytest.raises(UserError, match=r"text 2 is (None|an? \w+), no text; give"):
            asked(["film", other])
    if isinstance(other, tuple):
        with pytest.raises(UserError, match="as `seconds`"):
            trained.classify([other])
        with pytest.raises(UserError, match="as lmjax.data.lines.Line"):
            list(trained.predict([other]))


def test_texts_may_be_one_or_come_one_by_one(run):
    trained = lmjax.load(run.path)
    assert trained.classify(text for text in ["film", "plot"]) == trained.classify(["film", "plot"])
    assert trained.embed(iter(["film", "plot"])).shape[0] == 2
    assert [row["source"] for row in trained.predict("abc")] == ["abc"]


def test_a_label_of_broken_parameters_is_none(run):
    trained = lmjax.load(run.path)
    broken = replace(trained, params=jax.tree.map(lambda leaf: leaf * np.nan, trained.params))
    with pytest.raises(DivergedError, match="gives of text 1 is not finite"):
        broken.classify(["film", "plot"])


def test_a_text_of_3000_tokens_is_told_and_can_be_cut(tmp_path):
    rows = [{"text": f"film {i}", "label": "ab"[i % 2]} for i in range(100)]
    rows[7]["text"] = "film " * 3000
    (tmp_path / "own.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = base_config("classifier")
    config.data.update(corpus="labelled", tokenizer="label", files=str(tmp_path / "own.jsonl"))
    config.data.update(source_tokenizer="word", batch_size=8, validation_files=config.data.files)
    with pytest.raises(UserError, match="document 8 of the split has 3000.*1 of 100 exceed.*cut_s"):
        prepare(config)
    config.data.cut_sources = 12
    plan = prepare(config).plan
    assert plan.remarks()[0] == (
        "1 of 100 training sources are cut: they have more tokens than data.cut_sources"
    )


def test_numbers_of_pairs_agree_with_the_score(tmp_path):
    rows = [{"a": f"film {i}", "b": f"plot {i % 7}", "how": i % 5} for i in range(60)]
    (tmp_path / "own.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = base_config("classifier")
    config.model.dropout = 0.0
    config.model.highest = 4.0
    config.model.backbone.update(layers=1, width=8, heads=2, dropout=0.0, context_length=16)
    config.objective = objective_config("regression")
    config.data.update(corpus="labelled", files=str(tmp_path / "own.jsonl"), tokenizer="number")
    config.data.update(text_column="a", second_column="b", label_column="how", batch_size=8)
    config.data.update(source_tokenizer="word", source_length=16, special_tokens=("separator",))
    config.training.duration = "2 steps"
    config.evaluation.every = config.logging.every = "100 percent"
    score = train(config, tmp_path / "run")["splits"]["validation"]
    measured, kept = score["task"], predictions_of(RunDirectory(tmp_path / "run"), "validation")
    assert measured["kind"] == "similarity" and set(measured["baselines"]) == {
        "mean",
        "word_overlap",
    }
    errors = [(float(row["prediction"]) - float(row["reference"])) ** 2 for row in kept]
    assert measured["metrics"]["squared_error"] == pytest.approx(np.mean(errors))
    nats = np.mean(errors) / 2 + np.log(2 * np.pi) / 2
    assert score["total_nats"] / score["tokens"] == pytest.approx(nats, rel=1e-4)
    assert kept[0]["second"].startswith("plot") and kept[0]["source"].startswith("film")
    given = Line("pair 1", kept[0]["source"], kept[0]["second"])
    (row,) = lmjax.load(tmp_path / "run").predict([given])
    assert float(row["prediction"]) == pytest.approx(float(kept[0]["prediction"]), rel=1e-4)
