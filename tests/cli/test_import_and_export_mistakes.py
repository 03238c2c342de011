"""`lmjax import` and `lmjax export`: a mistake is one line, and help has an example."""

import pytest

from lmjax.cli.main import main


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["import"], "--workdir=DIR is missing"),
        (["import", "--workdir=x"], "--from=FOLDER is missing"),
        (["import", "--workdir=x", "--from=nowhere"], "cannot read nowhere/config.json"),
        (["import", "--workdir=x", "--form=y"], "form"),
        (["export"], "--workdir=DIR is missing"),
        (["export", "--workdir=x"], "--to=FOLDER is missing"),
        (["export", "--workdir=nowhere", "--to=x"], "nowhere holds no run"),
        (["evaluate", "--workdir=nowhere", "--corpus=ptb"], "nowhere holds no run"),
    ],
)
def test_a_mistake_is_one_line(arguments, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    told = capsys.readouterr().err
    assert said in told and told.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("verb", ["import", "export"])
def test_help_has_an_example(verb, capsys):
    assert main([verb, "--help"]) == 0
    assert f"example: lmjax {verb} --" in capsys.readouterr().out
