"""A page of docs/ whose files are written and whose commands are run as they stand there."""

import re
import shlex
from contextlib import contextmanager
from pathlib import Path

import pytest

from lmjax.cli.main import main

DOCS = Path(__file__).parent.parent / "docs"
# What makes training short, and independent of the version of Python.
SHORT = (
    "--config.data.corpus=text",
    "--config.data.files=text.txt",
    "--config.data.length=16",
    "--config.training.duration=4 steps",
)


class WorkedPage:
    """Its blocks of Python, each a file that its first line names, and of commands."""

    def __init__(self, name):
        self.blocks = re.findall(r"```(python|sh)\n(.*?)```", (DOCS / name).read_text(), re.DOTALL)
        shells = [block for kind, block in self.blocks if kind == "sh"]
        self.commands = [shlex.split(line) for block in shells for line in block.splitlines()]

    @property
    def kinds(self):
        return [kind for kind, _ in self.blocks]

    @contextmanager
    def followed_in(self, folder, *shorter):
        """Within, one is in `folder`, where all of it was done, trained with `shorter` flags."""
        (folder / "text.txt").write_text("The quick brown fox jumps over the lazy dog.\n" * 100)
        for kind, block in self.blocks:
            if kind == "python":
                (folder / re.match(r"# (\w+\.py)\n", block)[1]).write_text(block)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("LMJAX_CACHE_DIR", str(folder / "cache"))
            patch.chdir(folder)
            for program, *arguments in self.commands:
                assert program == "lmjax"
                short = (*SHORT, *shorter) if arguments[0] == "train" else ()
                assert main([*arguments, *short]) == 0, arguments
            yield folder
