"""docs/add_a_mixer.md is true: its files are written and its commands run as they stand there."""

import re
import shlex
from pathlib import Path

import pytest

import lmjax
from lmjax.cli.main import main
from lmjax.own_models import own_config

TEXT = (Path(__file__).parent.parent / "docs" / "add_a_mixer.md").read_text()
BLOCKS = re.findall(r"```(python|sh)\n(.*?)```", TEXT, re.DOTALL)
COMMANDS = [
    shlex.split(line) for kind, block in BLOCKS if kind == "sh" for line in block.splitlines()
]
# What makes them short, and independent of the version of Python.
SHORT = ["--config.data.corpus=text", "--config.data.files=text.txt", "--config.data.length=16"]
SHORT += ["--config.training.duration=4 steps", "--config.model.width=16"]


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
        yield folder


def test_its_runs_load_with_their_patterns(folder):
    own, package = (
        lmjax.load(folder / "runs" / name).model for name in ("moving_average", "package_mixers")
    )
    assert own.pattern == ("moving_average", "moving_average", "sliding_window", "mamba")
    assert package.mixers["sliding_window"]["window"] == 8
    assert own.longest_context is None and package.longest_context is None


def test_the_fields_of_its_model_are_the_transformers_with_its_own_defaults(folder):
    config = own_config("moving_average.py:MovingAverageModel")
    assert config["pattern"] == ("moving_average",) and config["position"] == "none"
    assert config["layers"] == 4


def test_every_block_is_run(folder):
    assert [kind for kind, _ in BLOCKS] == ["python", "sh", "python", "sh", "python", "sh"]
    assert len(COMMANDS) == 4
