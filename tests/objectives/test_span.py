"""Answers are learnt from where they stand, and found also where only a window holds them."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

import lmjax
from lmjax.config import base_config, choose
from lmjax.data.lines import Line
from lmjax.errors import UserError
from lmjax.objectives.registry import check_objective
from lmjax.training.run import train


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A model that has learnt to find the colour and what has it, which stand once in a text."""
    folder = tmp_path_factory.mktemp("span")
    generator = np.random.default_rng(0)
    words, kinds = ["it", "was", "of", "and", "near"], ["red", "green", "blue"]
    paragraphs = []
    for number in range(300):
        filler = generator.choice(words, 24).tolist()
        kind = kinds[number % 3]
        filler[generator.integers(24)] = f"{kind} box"
        context = f"{number} " + " ".join(filler)
        answers = [{"text": f"{kind} box", "answer_start": context.index(f"{kind} box")}]
        asked = {"id": str(number), "question": "what has a colour ?", "answers": answers}
        paragraphs.append({"context": context, "qas": [asked]})
    data = folder / "squad.json"
    data.write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}))
    config = base_config("span_finder")
    config.model.dropout = 0.0
    config.model.backbone.update(layers=1, width=24, heads=2, dropout=0.0, context_length=32)
    config.data.update(corpus="questions", files=str(data), batch_size=16)
    config.data.update(source_length=24, source_overlap=4)
    config.training.update(duration="100 steps", learning_rate=1e-2)
    config.evaluation.every = config.logging.every = "50 percent"
    return train(config, folder / "run"), folder / "run"


def test_answers_are_learnt_and_measured(run):
    results, folder = run
    split = results["splits"]["validation"]
    assert split["nats_of"] == "places" and split["bytes"] == 0
    task = split["task"]
    assert task["kind"] == "question_answering" and task["main"] == "f1"
    assert task["metrics"]["f1"] > 80 > task["baselines"]["first_sentence"]["f1"]
    assert split["accuracy"] > 0.8
    rows = [json.loads(row) for row in (folder / "predictions" / "validation.jsonl").open()]
    assert len(rows) == task["examples"] < split["tokens"] / 2  # windows are more than questions
    for row in rows:
        assert row["second"][row["begin"] :].startswith(row["prediction"])
    kept = json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])
    assert kept["accuracy"] > 0.5


def test_a_trained_model_answers(run):
    trained = lmjax.load(run[1])
    context = "it was near " + "it was of " * 30 + "green box and near"
    found = trained.answer("what has a colour ?", context)
    assert found["answer"] == "green box" == context[found["begin"] :][:9]
    assert 0.1 < found["probability"] <= 1
    both = trained.answer(["what has a colour ?"] * 2, [context, "near a blue box it was"])
    assert [each["answer"] for each in both] == ["green box", "blue box"]
    with pytest.raises(UserError, match="text 1 has no question"):
        trained.answer(" ", context)
    with pytest.raises(UserError, match="was not trained to label texts"):
        trained.classify("text")
    (row,) = trained.predict([Line("line 1", "what has a colour ?", context)])
    assert row["prediction"] == "green box" and row["second"] == context


@pytest.mark.parametrize("objective", ["classification", "regression", "seq2seq"])
def test_a_model_that_points_at_places_is_trained_by_nothing_else(objective):
    config = base_config("span_finder")
    choose(config, "objective", objective)
    with pytest.raises(UserError, match="no places of answers.*model.name='classifier'"):
        check_objective(config, None, SimpleNamespace(finds_spans=True, is_counted=False))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "classifier"}, "needs a model that points at tokens.*span_finder"),
        ({"data.tokenizer": "word"}, "places of answers, and the targets are tokens of a text"),
        ({"data.augmentation": ("swap=0.1",)}, "data.augmentation and data.paraphrases would move"),
        ({"data.cut_sources": 20}, "cut_sources would cut off answers"),
        ({"data.cleaning": ("lowercase",)}, "'lowercase' would move the answers"),
        ({"data.special_tokens": ()}, "data.special_tokens=.*separator"),
        ({"data.corpus": "multi30k"}, "is not known to stand in its source"),
    ],
)
def test_what_has_no_places_is_refused(run, tmp_path, data_dir, changes, message):
    changes = dict(changes)
    config = base_config(changes.pop("model", "span_finder"))
    config.update_from_flattened_dict(
        {
            "objective": base_config("span_finder").objective,
            "data": base_config("span_finder").data,
            "data.corpus": "questions",
            "data.files": str(run[1].parent / "squad.json"),
            "training.duration": "2 steps",
            **changes,
        }
    )
    if config.data.corpus != "questions":
        config.data.files = ""
    with pytest.raises(UserError, match=message):
        train(config, tmp_path / "run")
