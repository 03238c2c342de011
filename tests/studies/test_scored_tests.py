"""At the end of a study the test split of a task is scored, and answered."""

import json

import pytest

from lmjax.config import base_config, choose
from lmjax.errors import UserError
from lmjax.runs.run_directory import RunDirectory
from lmjax.studies.runner import score_test
from lmjax.trained import answering
from lmjax.training.run import train


def test_the_answers_to_the_test_split_are_kept_once_also_after_a_failure(tmp_path, monkeypatch):
    rows = [{"source": f"{number} is here", "target": str(number % 2)} for number in range(200)]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = base_config("classifier")
    choose(config, "model.backbone", "word_vectors")
    config.model.backbone.width = 4
    config.data.update(
        corpus="parallel", files=str(tmp_path / "pairs.jsonl"), source_tokenizer="word"
    )
    config.training.duration = "2 steps"
    config.evaluation.splits = ("validation",)
    run = RunDirectory(tmp_path / "run")
    train(config, run.path)
    assert "test" not in run.results()["splits"]
    with monkeypatch.context() as broken:
        broken.setattr(answering, "answer_split", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            score_test(run.path)
    score = run.results()["splits"]["test"]
    whole = (tmp_path / "pairs.jsonl").read_text()
    (tmp_path / "pairs.jsonl").write_text(whole.replace("150 is", "150 was"))
    with pytest.raises(UserError, match="the corpus has changed"):
        score_test(run.path)
    (tmp_path / "pairs.jsonl").write_text(whole)
    score_test(run.path)
    score_test(run.path)
    assert run.results()["splits"]["test"] | score == run.results()["splits"]["test"]
    task = run.results()["splits"]["test"]["task"]
    answers = (run.path / "predictions" / "test.jsonl").read_text().splitlines()
    assert len(answers) == task["examples"] > 0
    right = [row["prediction"] == row["reference"] for row in map(json.loads, answers)]
    assert task["metrics"]["accuracy"] == sum(right) / len(right)
    assert len((run.path / "test_reads.jsonl").read_text().splitlines()) == 1
