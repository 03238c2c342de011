"""Checkpoints whose bytes changed: never restored, and the one before them is, with a word."""

import random
import shutil
from collections import Counter
from pathlib import Path

import pytest

from lmjax.checkpoints.store import Checkpoints
from lmjax.errors import UserError
from tests.torture.failing_calls import is_whole, state_at

LENGTHS = {
    "0 bytes": lambda size: 0,
    "1 byte": lambda size: 1,
    "half": lambda size: size // 2,
    "a byte less": lambda size: size - 1,
}


class Damaging:
    """Damages copies of a folder of checkpoints, and counts what restoring them came to."""

    def __init__(self, folder: Path, steps: list[int]):
        self.original, self.copy = folder / "original", folder / "copy"
        self.steps = steps
        self.outcomes: Counter[str] = Counter()
        self.failures: list[str] = []
        self.original.mkdir()
        checkpoints = Checkpoints(self.original, keep=len(steps))
        for step in steps:
            checkpoints.save(state_at(step), {"step": step})
        checkpoints.close()
        newest = self.original / str(steps[-1])
        self.files = sorted(
            path.relative_to(self.original) for path in newest.rglob("*") if path.is_file()
        )

    def harm(self, what: str, file: Path, changed) -> None:
        """Restores the newest checkpoint of a copy in which the bytes of `file` are `changed`."""
        shutil.rmtree(self.copy, ignore_errors=True)
        shutil.copytree(self.original, self.copy)
        content = changed((self.copy / file).read_bytes())
        if content is None:
            (self.copy / file).unlink()
        else:
            (self.copy / file).write_bytes(content)
        said: list[str] = []
        checkpoints = Checkpoints(self.copy, say=said.append)
        try:
            step = checkpoints.newest_intact()
            if step is None:
                self.outcomes["none left"] += 1
                if content is not None or file.name != "manifest.json":
                    self.failures.append(f"{what} of {file}: nothing is restored or said")
            elif not is_whole(checkpoints, step):
                self.failures.append(f"{what} of {file}: a silently wrong restore of step {step}")
            elif step == self.steps[-1]:
                self.outcomes["the same values"] += 1
            else:
                self.outcomes["the step before"] += 1
                if file.name != "manifest.json" and not any("is damaged" in line for line in said):
                    self.failures.append(f"{what} of {file}: the step before without a word")
        except UserError:
            self.outcomes["refused"] += 1
            if len(self.steps) > 1:
                self.failures.append(f"{what} of {file}: refused with a whole one beside it")
        except Exception as error:
            self.failures.append(f"{what} of {file}: {error!r}")
        finally:
            checkpoints.close()

    def note(self) -> str:
        counted = ", ".join(f"{count} {outcome}" for outcome, count in self.outcomes.most_common())
        return f"{counted}; {len(self.files)} files"


def flipped(content: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(8 * len(content))
    changed = bytearray(content)
    changed[at // 8] ^= 1 << at % 8
    return bytes(changed)


@pytest.mark.parametrize("steps", [[2, 4], [4]], ids=["two", "one"])
def test_flipped_bits(steps, full, scorecard, tmp_path):
    damaging, draw = Damaging(tmp_path, steps), random.Random(0)
    filled = [path for path in damaging.files if (damaging.original / path).stat().st_size]
    trials = [filled[trial % len(filled)] for trial in range(400)]
    trials = trials if full else trials[: 12 if len(steps) > 1 else 4]
    for file in trials:
        damaging.harm("a flip", file, lambda content: flipped(content, draw))
    which = "newer of two checkpoints" if len(steps) > 1 else "only checkpoint"
    scorecard(f"3 a bit flipped in the {which}", len(trials), damaging.failures, damaging.note())


@pytest.mark.parametrize("steps", [[2, 4], [4]], ids=["two", "one"])
def test_cut_files(steps, full, scorecard, tmp_path):
    damaging = Damaging(tmp_path, steps)
    trials = [(file, name) for file in damaging.files for name in (*LENGTHS, "gone")]
    trials = trials if full else trials[:: 11 if len(steps) > 1 else 29]
    for file, name in trials:
        cut = LENGTHS.get(name)
        damaging.harm(name, file, lambda content, cut=cut: cut and content[: cut(len(content))])
    which = "newer of two checkpoints" if len(steps) > 1 else "only checkpoint"
    scorecard(
        f"3 a file of the {which} cut to 0, 1, half, a byte less, or gone",
        len(trials),
        damaging.failures,
        damaging.note(),
    )
