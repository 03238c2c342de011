"""`lmjax task` lists what there is, shows what is in a task, and what its baselines are worth."""

import pytest

from lmjax.cli.main import main
from lmjax.tasks.registry import TASKS


def run(capsys, monkeypatch, *arguments):
    monkeypatch.setenv("COLUMNS", "200")
    code = main(["task", *arguments])
    captured = capsys.readouterr()
    return code, captured.out + captured.err


def test_all_tasks_are_listed(capsys, monkeypatch):
    code, text = run(capsys, monkeypatch, "list")
    assert code == 0 and all(name in text for name in TASKS)


def test_a_task_is_inspected(capsys, monkeypatch, data_dir):
    code, text = run(capsys, monkeypatch, "inspect", "trec")
    assert code == 0 and "How did serfdom develop in and then leave Russia ?" in text
    row = next(line for line in text.splitlines() if "ENTY" in line)
    assert "94" in row
    row = next(line for line in text.splitlines() if "also in train" in line)
    assert " 9 " in row


def test_baselines_are_scored(capsys, monkeypatch, data_dir):
    code, text = run(capsys, monkeypatch, "baselines", "trec")
    row = next(line for line in text.splitlines() if "test" in line and "accuracy" in line)
    assert code == 0 and "0.1880" in row and "majority_class" in row


def test_a_task_without_training_documents_is_inspected_and_has_its_baseline(
    capsys, monkeypatch, data_dir
):
    code, text = run(capsys, monkeypatch, "inspect", "blimp")
    assert code == 0 and "67,000" in text and "also in train" not in text
    code, text = run(capsys, monkeypatch, "baselines", "blimp")
    row = next(line for line in text.splitlines() if "chance" in line and "accuracy" in line)
    assert code == 0 and "0.5000" in row


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "say what to do after 'lmjax task'"),
        (("lst",), "did you mean 'list'"),
        (("inspect",), "name the task"),
        (("list", "trec"), "leave 'trec' out"),
        (("list", "--cleaning=nfc"), "--cleaning is of no use with 'list'"),
        (("inspect", "trek"), "did you mean 'trec'"),
    ],
)
def test_mistakes_are_named(capsys, monkeypatch, arguments, message):
    code, text = run(capsys, monkeypatch, *arguments)
    assert code == 2 and message in text
