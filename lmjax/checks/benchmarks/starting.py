"""From a command to what one waits for: a first step of training, a first text, the help."""

import re
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from lmjax.checks.benchmarks.contract import Case, Result, Turns
from lmjax.errors import UserError
from lmjax.runs.signals import undone_at_the_end

EXPERIMENT = """
from lmjax.config import base_config


def get_config(family):
    config = base_config(family)
    config.training.duration = "3 steps"
    config.data.corpus = "python_docs"
    return config
"""
STARTED = re.compile(r"started in [\d.]+ s(: .*)?")


@dataclass(frozen=True)
class Starting(Case):
    """The command line's own start, with each of these families, after a start to warm up."""

    families: tuple[str, ...]

    takes_steps = False

    @property
    def about(self) -> str:
        return (
            f"seconds from command to first step, first text, and exit: {', '.join(self.families)} "
            "on python_docs, with compiled programs kept from a start before"
        )

    def measure(self, turns: Turns) -> Result:
        """Each command `rounds` times, in a process of its own."""
        rows, notes = [], []
        with TemporaryDirectory() as folder, undone_at_the_end(partial(shutil.rmtree, folder)):
            experiment = Path(folder) / "experiment.py"
            experiment.write_text(EXPERIMENT)
            rows.append(
                _row("--help", [_watched(["--help"], "usage") for _ in range(turns.rounds)])
            )
            for family in self.families:
                turns.tell(family)
                found = []
                for number in range(1 + turns.rounds):
                    workdir = f"--workdir={folder}/{family}_{number}"
                    train = ["train", f"--config={experiment}:{family}", workdir]
                    found.append(_watched(train, "started in"))
                rows.append(_row(f"train, {family}", found[1:]))
                if told := STARTED.search(found[-1][2]):
                    notes.append(f"{family}: {told[0]}")
                sample = ["sample", workdir, "--prompt=The function", "--length=100"]
                texts = [_watched(sample, "The function") for _ in range(1 + turns.rounds)]
                rows.append(_row(f"sample, {family}", texts[1:]))
        return Result(self.name, self.about, rows, notes)


def _row(command: str, found: list[tuple[float, float, str]]) -> dict:
    first, whole = (statistics.median(values) for values in list(zip(*found, strict=True))[:2])
    return {"command": command, "seconds to the first": first, "seconds to exit": whole}


def _watched(arguments: list[str], awaited: str) -> tuple[float, float, str]:
    """Seconds until the command printed what is `awaited`, until it ended, and all it printed."""
    begin = time.perf_counter()
    command = [sys.executable, "-m", "lmjax", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    printed, first = b"", None
    with process, undone_at_the_end(process.kill):
        while byte := process.stdout.read1(4096):
            printed += byte
            if first is None and awaited.encode() in printed:
                first = time.perf_counter() - begin
    text = printed.decode()
    if process.returncode or first is None:
        raise UserError(f"`lmjax {' '.join(arguments)}` failed: {text.strip()[-300:]}")
    return first, time.perf_counter() - begin, text
