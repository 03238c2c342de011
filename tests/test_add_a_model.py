"""docs/add_a_model.md is true: its files are written and its commands run as they stand there."""

import re
import shlex
import sys
from pathlib import Path

import pytest

import lmjax
from lmjax.cli.main import main

TEXT = (Path(__file__).parent.parent / "docs" / "add_a_model.md").read_text()
BLOCKS = re.findall(r"```(python|sh)\n(.*?)```", TEXT, re.DOTALL)
COMMANDS = [
    shlex.split(line) for kind, block in BLOCKS if kind == "sh" for line in block.splitlines()
]
# What makes them short, and independent of the version of Python.
SHORT = ["--config.data.corpus=text", "--config.data.files=text.txt", "--config.data.length=16"]
SHORT += ["--config.training.duration=4 steps"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the document's files and some text, in which its commands were run."""
    folder = tmp_path_factory.mktemp("document")
    (folder / "text.txt").write_text("The quick brown fox jumps over the lazy dog.\n" * 100)
    for kind, block in BLOCKS:
        if kind == "python":
            (folder / re.match(r"# (\w+\.py)\n", block)[1]).write_text(block)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LMJAX_CACHE_DIR", str(folder / "cache"))
        patch.chdir(folder)
        for program, *arguments in COMMANDS:
            assert program == "lmjax"
            short = SHORT if arguments[0] == "train" else []
            assert main([*arguments, *short]) == 0, arguments
    return folder


def test_its_models_are_those_that_its_commands_name(folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("LMJAX_CACHE_DIR", str(folder / "cache"))
    found = {path.name: lmjax.load(path).model for path in (folder / "runs").iterdir()}
    assert {name: model.width for name, model in found.items()} == {
        "convolution": 96,
        "gru": 256,
    }
    assert found["convolution"].layers == 3
    assert found["gru"].cell == "gru"


def test_its_program_runs(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("LMJAX_CACHE_DIR", str(folder / "cache"))
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "use_it", raising=False)
    __import__("use_it")
    width, bits_per_byte = capsys.readouterr().out.split()
    assert width == "96" and 0 < float(bits_per_byte) < 20


def test_every_block_is_run(folder):
    assert [kind for kind, _ in BLOCKS] == ["python", "sh", "python", "sh", "sh", "python"]
    assert len(COMMANDS) == 5
