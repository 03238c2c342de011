"""At the end of a study the test split of a task is scored, and answered."""

import json

from lmjax.config import base_config, choose
from lmjax.runs.run_directory import RunDirectory
from lmjax.studies.runner import score_test
from lmjax.training.run import train


def test_the_answers_to_the_test_split_are_kept_once(tmp_path):
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
    score_test(run.path)
    score_test(run.path)
    task = run.results()["splits"]["test"]["task"]
    answers = (run.path / "predictions" / "test.jsonl").read_text().splitlines()
    assert len(answers) == task["examples"] > 0
    right = [row["prediction"] == row["reference"] for row in map(json.loads, answers)]
    assert task["metrics"]["accuracy"] == sum(right) / len(right)
    assert len((run.path / "test_reads.jsonl").read_text().splitlines()) == 1
