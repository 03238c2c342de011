import json

import pytest

from lmjax.errors import UserError
from lmjax.runs.metrics import MetricsFile


def train(step, **values):
    return {"kind": "train", "step": step, **values}


def evaluation(step, split="validation", context="carried"):
    return {"kind": "evaluation", "step": step, "split": split, "context": context}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "metrics.jsonl"


def test_rows_come_back_in_order(path):
    rows = [train(1, loss=2.5), evaluation(1), train(2, loss=0.1 + 0.2)]
    for row in rows:
        MetricsFile(path).append(row)
    assert MetricsFile(path).rows() == rows
    assert [json.loads(line) for line in path.read_text().splitlines()] == rows


def test_a_row_is_on_disk_when_append_returns(path):
    metrics = MetricsFile(path)
    for step in range(3):
        metrics.append(train(step))
        assert len(path.read_bytes().splitlines()) == step + 1


@pytest.mark.parametrize("reopened", [False, True])
def test_a_step_is_never_there_twice(path, reopened):
    metrics = MetricsFile(path)
    for row in (train(1), evaluation(1), evaluation(1, split="test"), evaluation(1, context="w")):
        metrics.append(row)
    metrics = MetricsFile(path) if reopened else metrics
    for row in (train(1, loss=9.0), evaluation(1), evaluation(1, context="w")):
        with pytest.raises(ValueError, match="already has"):
            metrics.append(row)
    assert len(metrics.rows()) == 4


def test_truncation_drops_later_steps_which_may_then_come_again(path):
    metrics = MetricsFile(path)
    for step in range(5):
        metrics.append(train(step, loss=float(step)))
        metrics.append(evaluation(step))
    metrics.truncate({"train": 2, "evaluation": 1})
    assert [row["step"] for row in metrics.rows()] == [0, 0, 1, 1, 2]
    metrics.append(train(3, loss=7.0))
    assert metrics.rows()[-1]["loss"] == 7.0
    assert [file.name for file in path.parent.iterdir()] == ["metrics.jsonl"]


@pytest.mark.parametrize("kept", range(len(b'{"kind": "train", "step": 2}')))
def test_a_torn_last_line_is_dropped(path, kept):
    MetricsFile(path).append(train(1))
    with open(path, "ab") as file:
        file.write(b'{"kind": "train", "step": 2}'[:kept])
    assert MetricsFile(path).rows() == [train(1)]
    MetricsFile(path).append(train(2, loss=1.0))
    assert MetricsFile(path).rows() == [train(1), train(2, loss=1.0)]


@pytest.mark.parametrize("line", ["{", "[]", "3", '{"kind": "train"}'])
def test_a_broken_line_is_named(path, line):
    path.write_text(f'{{"kind": "train", "step": 1}}\n{line}\n')
    with pytest.raises(UserError, match="metrics.jsonl, line 2"):
        MetricsFile(path).rows()


def test_no_file_is_no_rows(path):
    assert MetricsFile(path).rows() == []
    MetricsFile(path).truncate()
    assert not path.exists()
