"""docs/add_a_model.md is true: its files are written and its commands run as they stand there."""

import sys

import pytest

import lmjax
from tests.worked_page import WorkedPage

PAGE = WorkedPage("add_a_model.md")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    with PAGE.followed_in(tmp_path_factory.mktemp("document")) as folder:
        yield folder


def test_its_models_are_those_that_its_commands_name(folder):
    found = {path.name: lmjax.load(path).model for path in (folder / "runs").iterdir()}
    assert {name: model.width for name, model in found.items()} == {
        "convolution": 96,
        "gru": 256,
    }
    assert found["convolution"].layers == 3
    assert found["gru"].cell == "gru"


def test_its_program_runs(folder, monkeypatch, capsys):
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "use_it", raising=False)
    __import__("use_it")
    width, bits_per_byte = capsys.readouterr().out.split()
    assert width == "96" and 0 < float(bits_per_byte) < 20


def test_every_block_is_run():
    assert PAGE.kinds == ["python", "sh", "python", "sh", "sh", "python"]
    assert len(PAGE.commands) == 5
