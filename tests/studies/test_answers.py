"""A report shows what answers are worth, what is taken for what, and the surest errors."""

import json
import weakref

import numpy as np
import pytest

from lmjax.errors import UserError
from lmjax.studies import answers as module
from lmjax.studies.answers import draw
from lmjax.tasks.classification_metrics import Confusion
from tests.studies.fake_studies import figures_of, read_page, write_study

BASELINE = {"accuracy": 0.25, "mcc": 0}


def write_answers(workdir, arm, seed, accuracy, rows=(), baseline=BASELINE, kind="classification"):
    path = workdir / "arms" / arm / f"seed_{seed}"
    results = json.loads((path / "results.json").read_text())
    results["splits"]["test"]["task"] = {
        "kind": kind,
        "main": "accuracy",
        "metrics": {"accuracy": accuracy, "mcc": None},
        "intervals": {"accuracy": [accuracy - 0.1, accuracy + 0.1], "mcc": None},
        "baselines": {"majority_class": baseline},
    }
    (path / "results.json").write_text(json.dumps(results))
    if rows:
        (path / "predictions").mkdir()
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (path / "predictions" / "test.jsonl").write_text(lines)
    return path


def answers(count):
    """Wrong in every third, the later the surer."""
    for i in range(count):
        told = "<b>" if i % 3 else "a"
        probability = 0.5 + i / count / 2
        row = {"name": str(i), "source": f"text {i}\x1b", "reference": "<b>", "prediction": told}
        yield {**row, "probability": probability, "probabilities": {told: probability}}


def test_the_metrics_of_arms_stand_beside_those_of_baselines(tmp_path):
    write_study(tmp_path, {"A": [1.0, 1.1, 1.2], "B": [1.0]})
    for seed, accuracy in enumerate((0.7, 0.8, 0.9)):
        write_answers(tmp_path, "a", seed, accuracy)
    write_answers(tmp_path, "b", 0, 0.75)
    page = read_page(tmp_path)
    title = "classification, test"
    assert figures_of(page, title, "A") == {"accuracy": "0.8000 ± 0.2484", "mcc": "undefined"}
    assert figures_of(page, title, "B")["accuracy"] == "0.7500 (0.6500 to 0.8500)"
    assert figures_of(page, title, "baseline: majority_class")["mcc"] == "0.0000"
    assert "| A | 0.8000 ± 0.2484 | undefined |" in (tmp_path / "report.md").read_text()


def test_a_baseline_is_the_mean_over_runs_whose_splits_differ(tmp_path):
    write_study(tmp_path, {"A": [1.0, 1.1]})
    write_answers(tmp_path, "a", 0, 0.7, baseline={"accuracy": 0.2, "mcc": 0.5})
    write_answers(tmp_path, "a", 1, 0.8, baseline={"accuracy": 0.6, "mcc": None})
    figures = figures_of(read_page(tmp_path), "classification, test", "baseline: majority_class")
    assert figures == {"accuracy": "0.4000", "mcc": "undefined"}


def test_the_surest_errors_and_what_is_taken_for_what_are_shown(tmp_path):
    write_study(tmp_path, {"A": [1.0]})
    path = write_answers(tmp_path, "a", 0, 0.7, list(answers(60)))
    page = read_page(tmp_path)
    errors = next(table for table in page.tables if table[0][0].startswith("errors that"))
    assert [row[0] for row in errors[1:]] == [
        f"text {i}\N{REPLACEMENT CHARACTER}" for i in range(57, 27, -3)
    ]
    assert errors[1][1:] == ["<b>", "a", "0.975"]
    examples = next(table for table in page.tables if table[0][0].startswith("examples"))
    assert [row[0][:-1] for row in examples[1:]] == [f"text {i}" for i in range(0, 60, 12)]
    counts = (tmp_path / "plots" / "confusion_1.csv").read_text()
    assert counts == "right,<b>,a\n<b>,40,20\na,0,0\n"
    assert "data:image/svg+xml" in (tmp_path / "report.html").read_text()
    (path / "predictions" / "test.jsonl").write_text('{"source": "a", "prediction": 1}\n')
    with pytest.raises(UserError, match="line 1 of .*test.jsonl: 'prediction' should be: text"):
        read_page(tmp_path)


def test_an_answer_to_a_question_is_right_by_the_rules_that_it_is_measured_by(tmp_path):
    write_study(tmp_path, {"A": [1.0]})
    rows = [
        {"source": f"question {i}", "reference": ["Red box", "a crate"], "prediction": told}
        for i, told in enumerate(("the red box.", "Crate", "a blue box"))
    ]
    rows = [{**row, "probability": 0.9} for row in rows]
    write_answers(tmp_path, "a", 0, 0.7, rows, kind="question_answering")
    errors = next(t for t in read_page(tmp_path).tables if t[0][0].startswith("errors that"))
    assert [row[0] for row in errors[1:]] == ["question 2"]


def test_the_answers_of_one_arm_are_held_at_a_time_and_of_no_text_nothing_is_drawn(
    tmp_path, monkeypatch
):
    write_study(tmp_path, {"A": [1.0], "B": [1.0], "C": [1.0]})
    for arm in "abc":
        path = write_answers(tmp_path, arm, 0, 0.7, list(answers(3)))
    (path / "predictions" / "test.jsonl").write_text("")
    read, held = module.read_answers, []

    class Rows(list):
        pass

    def watched(path):
        assert not [rows for rows in held if rows() is not None]
        rows = Rows(read(path))
        held.append(weakref.ref(rows))
        return rows

    monkeypatch.setattr(module, "read_answers", watched)
    read_page(tmp_path)
    assert len(held) == 3 and len(list((tmp_path / "plots").glob("confusion_*.svg"))) == 2


def test_a_confusion_matrix_is_drawn_as_it_is_counted():
    figure = draw(Confusion(("a", "b"), np.array([[3, 1], [0, 5]])))
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.texts] == ["3", "1", "5"]
    assert [text.get_position() for text in axes.texts] == [(0.5, 0.5), (1.5, 0.5), (1.5, 1.5)]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]
    shares = axes.collections[0].get_array().ravel()
    assert shares.tolist() == pytest.approx([0.75, 0.25, 0, 1])
