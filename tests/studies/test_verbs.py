"""`lmjax study` and `lmjax report` from end to end, on a few lines of text."""

import io
import json

import pytest
from rich.console import Console

import lmjax
from lmjax.cli.main import main

STUDY = """
from lmjax.config import base_config
from lmjax.studies.study import Arm, Study, Tuning

def config(model, **fields):
    config = base_config(model)
    config.model.update(**fields)
    config.data.update(corpus="text", files={files!r}, batch_size=2, length=8)
    config.training.duration = "4 steps"
    config.evaluation.every = "2 steps"
    return config

def get_study(arg=""):
    arms = [
        Arm("n-gram", config("ngram"), choices={{"model.order": (2, 3)}}),
        Arm("Elman", config("rnn", cell="elman", layers=1), fine_field="model.embedding_width"),
        Arm("GRU", config("rnn", cell="gru", layers=1, width=32)),
    ]
    if arg == "refused":
        arms[0] = Arm("refused", config("transformer", width=8, heads=3, layers=1))
    if arg == "diverging":
        arms[:2] = [Arm("diverging", config("rnn", layers=1))]
        arms[0].config.training.learning_rate = 1e30
    matched = () if arg else ("parameters", "training_tokens")
    tuning = Tuning({{"training.learning_rate": (1e-3, 1e-2)}}, "50 percent")
    return Study(
        name="tiny" + arg, question="Which?", arms=tuple(arms), baseline="GRU", matched=matched,
        prompt="to be ", continuation_length=5, tuning=None if arg else tuning,
    )
"""


@pytest.fixture
def study_file(tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("to be or not to be, that is the question\n" * 100)
    path = tmp_path / "study.py"
    path.write_text(STUDY.format(files=str(text)))
    return path


def test_a_study_from_its_file_to_its_report_and_again(study_file, tmp_path, capsys):
    command = ["study", f"--study={study_file}", f"--workdir={tmp_path}/study"]
    assert main(command) == 0
    first = capsys.readouterr().out
    for expected in ("n-gram order=", "Elman", "GRU baseline", "no verdict is drawn", "to be "):
        assert expected in first
    plan, _, done = first.partition("2 trials of 50 percent each, seed 0: training.learning_rate")
    assert "Elman" in plan and "validation chose" in done
    folder = tmp_path / "study"
    assert len(list((folder / "tuning").rglob("results.json"))) == 4
    results = {path: path.read_bytes() for path in sorted((folder / "arms").rglob("results.json"))}
    assert len(results) == 4
    splits = [json.loads(content)["splits"].keys() for content in results.values()]
    assert splits[:2] == [{"validation", "test"}] * 2, "Elman, GRU"
    unread = splits[2:].index({"validation"})
    assert splits[3 - unread] == {"validation", "test"}, "only the order that validation chose"
    sizes = [json.loads(content)["parameters"]["total"] for content in results.values()]
    elman, gru = sizes[:2]
    assert abs(elman - gru) <= 0.02 * gru
    page = (tmp_path / "study" / "report.html").read_text()

    assert main(command) == 0
    assert "step 1" not in capsys.readouterr().out
    assert {path: path.read_bytes() for path in results} == results

    again = lmjax.study(str(study_file), folder, Console(file=io.StringIO()))
    assert [arm.name for arm in again.record.arms] == ["n-gram", "Elman", "GRU"]
    assert (again.failures, again.page) == ([], folder / "report.html")

    (tmp_path / "study" / "report.html").unlink()
    assert main(["report", f"--workdir={tmp_path}/study"]) == 0
    assert (tmp_path / "study" / "report.html").read_text() == page


def test_a_failing_arm_is_reported_and_the_exit_code_says_so(study_file, tmp_path, capsys):
    assert main(["study", f"--study={study_file}:diverging", f"--workdir={tmp_path}/study"]) == 1
    output = capsys.readouterr().out
    assert "diverging failed" in output
    assert [path.parent.parent.name for path in tmp_path.rglob("results.json")] == ["gru"]


def test_what_cannot_run_is_refused_before_anything_runs(study_file, tmp_path, capsys):
    assert main(["study", f"--study={study_file}:refused", f"--workdir={tmp_path}/study"]) == 2
    error = capsys.readouterr().err
    assert "arm 'refused' can't run: model.width 8 is not a multiple" in error
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize("verb", ["study", "report"])
def test_help_has_an_example(verb, capsys):
    assert main([verb, "--help"]) == 0
    assert f"example: lmjax {verb} --" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["study"], "--study=FILE[:arg] is missing"),
        (["study", "--study=absent.py"], "no study file absent.py"),
        (["report"], "--workdir=DIR is missing"),
        (["report", "--workdir=absent"], "absent holds no run"),
    ],
)
def test_mistakes_are_one_line(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1


def test_a_dry_run_shows_the_plan_and_leaves_nothing(study_file, tmp_path, capsys):
    before = set(tmp_path.rglob("*"))
    folder = tmp_path / "study"
    assert main(["study", f"--study={study_file}", f"--workdir={folder}", "--dry_run"]) == 0
    text = capsys.readouterr().out
    assert "plan of tiny" in text and "parameters matched to GRU's" in text
    assert set(tmp_path.rglob("*")) == before
