"""A study of a generated task: its arms are compared by their errors, and nothing says bits."""

import json

import numpy as np
import pytest

from lmjax.config import base_config
from lmjax.studies.conduct import study as run_and_report
from lmjax.studies.losses import loss_name, loss_of, segment_losses
from lmjax.studies.study import Arm, Study


def make_arm(cell):
    config = base_config("rnn")
    config.model.update(layers=1, width=4, cell=cell)
    config.data.update(corpus="synthetic", task="parity_check", tokenizer="ids")
    config.data.update(batching="examples", batch_size=8, length=6)
    config.data.task_options.update(test_shortest=7, test_longest=8, evaluation_examples=50)
    config.objective.name = "answers"
    config.training.duration = "4 steps"
    config.evaluation.context = "documents"
    return Arm(cell.upper(), config)


def test_arms_of_a_task_are_compared_by_their_errors(tmp_path):
    study = Study(
        name="parity",
        question="Which cell tells the parity?",
        arms=(make_arm("lstm"), make_arm("elman")),
        baseline="LSTM",
        seeds=(0, 1),
        matched=("training_tokens",),
        prompt="0",
        continuation_length=2,
    )
    result = run_and_report(study, tmp_path / "study")
    assert result.failures == []
    assert result.record.loss == "error"
    for arm in result.record.arms:
        for score in arm.scores("test").values():
            assert loss_of(score) == 1 - score["length_accuracy"]
            assert score["segments"]["length"] == [7, 8]
    text = result.page.with_suffix(".md").read_text()
    assert "| validation error | test error |" in text and "above it, error" in text
    assert "test error" in text.split("\n")[2]  # the verdict
    assert "bits" not in text
    lengths = (tmp_path / "study" / "plots" / "accuracy_against_length.csv").read_text()
    assert lengths.count("\n") == 1 + 2 * (6 + 2)
    first = result.record.arms[0].runs[0].results["splits"]["test"]["segments"]
    second = result.record.arms[0].runs[1].results["splits"]["test"]["segments"]
    mean = (first["right"][1] / first["tokens"][1] + second["right"][1] / second["tokens"][1]) / 2
    assert f"LSTM,test,8,2,{mean}," in lengths
    assert "accuracy_against_length.svg" in text and "mean over 10 lengths" in text
    drawn = (tmp_path / "study" / "plots" / "accuracy_against_length.svg").read_text()
    assert "longest in training: 6" in drawn
    curves = (tmp_path / "study" / "plots" / "validation_against_tokens.csv").read_text()
    assert "validation_error" in curves


def make_finder(name, files, width):
    config = base_config("span_finder")
    config.model.backbone.update(layers=1, width=width, heads=2, context_length=32)
    config.data.update(corpus="questions", files=files, batch_size=8)
    config.data.update(source_length=24, source_overlap=4)
    config.training.duration = "4 steps"
    return Arm(name, config)


def test_arms_that_find_answers_are_compared_by_their_errors(tmp_path):
    paragraphs = []
    for number in range(60):
        context = f"{number} is a red box" if number % 2 else f"here is {number} and no more"
        answers = [{"text": str(number), "answer_start": context.index(str(number))}]
        asked = {"id": str(number), "question": "which number ?", "answers": answers}
        paragraphs.append({"context": context, "qas": [asked]})
    files = tmp_path / "squad.json"
    files.write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}))
    study = Study(
        name="finders",
        question="Does width help?",
        arms=(make_finder("narrow", str(files), 4), make_finder("wide", str(files), 8)),
        baseline="narrow",
        seeds=(0, 1),
        matched=("training_tokens",),
    )
    result = run_and_report(study, tmp_path / "study")
    assert result.failures == [] and result.record.loss == "error"
    for arm in result.record.arms:
        for score in arm.scores("validation").values():
            assert loss_of(score) == 1 - score["accuracy"]
    text = result.page.with_suffix(".md").read_text()
    assert "validation error" in text and "first and last places" in text


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        ({"bits_per_byte": 1.5, "accuracy": 0.5}, 1.5),
        ({"nats_of": "masked", "bits_per_byte": None, "accuracy": 0.5}, None),
        ({"nats_of": "labels", "bits_per_byte": 0.1, "accuracy": 0.75}, 0.25),
        ({"nats_of": "places", "bits_per_byte": None, "accuracy": 0.75}, 0.25),
        ({"nats_of": "answers", "bits_per_byte": None, "length_accuracy": 0.75}, 0.25),
        ({}, None),
    ],
)
def test_texts_are_compared_by_bits_and_answers_by_errors(score, expected):
    assert loss_of(score) == expected


def test_scores_of_several_kinds_are_called_bits():
    assert loss_name(["answers", "causal"]) == loss_name([]) == "bits per byte"
    assert loss_name(["labels"]) == "error"


def test_the_losses_of_segments_are_errors_of_labels_or_bits_of_a_text():
    table = {"nats": [1.0, 2.0], "tokens": [3, 1], "bytes": [12, 4], "right": [1, 1]}
    wrong, labels = segment_losses({"nats_of": "labels", "segments": table})
    assert wrong.tolist() == [2, 0] and labels.tolist() == [3, 1]
    bits, size = segment_losses({"nats_of": "masked", "segments": table})
    np.testing.assert_allclose(bits, np.array([1.0, 2.0]) / np.log(2))
    assert size.tolist() == [12, 4]
    assert segment_losses({"segments": table | {"bytes": [0, 0]}}) is None
    assert segment_losses({"nats_of": "labels"}) is None
