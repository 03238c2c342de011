"""Odd paths, full disks, folders that can't be written to, clocks that are wrong by a year."""

import os
import shutil
import subprocess
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.torture.runs import (
    Outcome,
    committed_steps,
    digest_of,
    goes_on,
    metrics,
    refused,
    stopped,
)

YEAR = 366 * 24 * 3600  # seconds
CLOCK = """
import datetime as calendar, time
real, asked = time.time, 0
def shifted():
    global asked
    asked += 1
    return real() + ({first} if asked < {until} else {then})
class Shifted(calendar.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(shifted(), tz)
time.time, time.time_ns, calendar.datetime = shifted, lambda: int(shifted() * 1e9), Shifted
"""
SMALL_FILES = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))"


@pytest.fixture(autouse=True)
def only_in_full(request, full):
    if not full and "all at once" not in request.node.name:
        pytest.skip("with LMJAX_TORTURE=full")


@contextmanager
def mounted(folder: Path, *arguments: str):
    """A mount for the time being; skips the test where that is not allowed."""
    command = ["mount", *arguments, str(folder)]
    folder.mkdir(exist_ok=True)
    if os.geteuid() or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("only root can mount a file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk(experiment, scorecard, tmp_path):
    failures = []
    with mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "size=64m", "tmpfs") as disk:
        workdir, ballast = disk / "run", disk / "ballast"
        stopped(experiment, workdir)
        newest = committed_steps(workdir)[-1]
        digest = digest_of(workdir / "checkpoints" / str(newest))
        free = shutil.disk_usage(disk).free - (1 << 20)
        ballast.write_bytes(b"\0" * free)
        said = (f"error: {workdir}", "bytes free, and a checkpoint needs", f"of step {newest}")
        failures += refused(experiment.start("rnn", workdir), *said)
        fill(ballast)
        failures += refused(experiment.start("rnn", workdir), f"error: cannot write to {workdir}")
        ballast.unlink()
        process = experiment.start("rnn", workdir)
        filled = process.when(lambda: fills(ballast, workdir, newest), 0)
        failures += refused(process, "error: ", str(workdir))
        if not filled or digest_of(workdir / "checkpoints" / str(newest)) != digest:
            failures.append(f"the checkpoint of step {newest} is another one")
        ballast.unlink()
        failures += goes_on(experiment, workdir)
    scorecard("4 disk full: too full to save, to write at all, in the middle", 3, failures)


def fills(ballast: Path, workdir: Path, step: int) -> bool:
    """Fills the disk as soon as a run has begun to save again."""
    if not any(int(path.name) > step for path in (workdir / "checkpoints").glob("[0-9]*")):
        return False
    fill(ballast)
    return True


def fill(ballast: Path) -> None:
    """Takes the disk to its last byte."""
    with open(ballast, "ab", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            with suppress(OSError):
                while file.write(b"\0" * size):
                    pass


def test_files_that_may_not_grow(experiment, scorecard, tmp_path):
    experiment.golden("rnn")
    files = (experiment.folder / "golden_rnn" / "checkpoints").rglob("*")
    before = SMALL_FILES.format(size=max(path.stat().st_size for path in files) - 1)
    process = experiment.start("rnn", tmp_path / "run", before=before)
    failures = refused(process, "error: ", str(tmp_path / "run"), "File too large")
    failures += goes_on(experiment, tmp_path / "run")
    scorecard("4 a limit on the size of files", 1, failures)


def test_a_read_only_folder(experiment, scorecard, tmp_path):
    stopped(experiment, tmp_path / "place" / "run")
    failures, slowest = [], 0.0
    with mounted(tmp_path / "place", "--bind", str(tmp_path / "place")) as place:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(place)], check=True)
        for workdir in (place / "run", place / "new"):
            process = experiment.start("rnn", workdir)
            failures += refused(process, f"error: cannot write to {workdir}", "Read-only")
            slowest = max(slowest, process.seconds)
    failures += goes_on(experiment, tmp_path / "place" / "run")
    scorecard("4 read-only folder, of a run and of none", 2, failures, f"within {slowest:.1f} s")


PATHS = {
    "spaces and quotes": "a run with 'quotes' \"and\" $(touch pwned); & spaces",
    "unicode": "Läufe/走る ☃ عربي",
    "newline and tab": "a\n\tb",
    "symlink": "link/run",
    "longest name": "n" * 255,
    "all at once": "link/Ein Lauf ☃ 走る {1}%s",
}


@pytest.mark.parametrize("name", PATHS)
def test_odd_paths(name, experiment, scorecard, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    workdir = tmp_path / PATHS[name]
    stopped(experiment, workdir)
    failures = goes_on(experiment, workdir)
    scorecard(f"4 a path with {name}", 1, failures, "works, stopped and resumed")


def test_patterns_as_paths(experiment, scorecard, tmp_path):
    failures = []
    for name in ("[1]", "a*", "b?"):
        process = experiment.start("rnn", tmp_path / name)
        failures += refused(process, "error: checkpoints can't be saved in", "choose another")
    scorecard("4 a path with one of * ? [", 3, failures, "refused before it is compiled")


@pytest.mark.parametrize("length", [3000, 3900, 4000, 4090, 4200])
def test_long_paths(length, experiment, scorecard, tmp_path):
    workdir = tmp_path
    while len(str(workdir)) < length - 201:
        workdir = workdir / ("n" * 200)
    workdir = workdir / ("n" * max(1, length - len(str(workdir)) - 1))
    process = experiment.start("rnn", workdir)
    code, output = process.wait()
    if code == 0:
        differing = Outcome.of(workdir).differences(experiment.golden("rnn"))
        failures, note = [f"{what} differs" for what in differing], "works"
    else:
        expected = code == 2 and "error: " in output and "Traceback" not in output
        failures = [] if expected else [f"exit {code}: {output[-3000:]}"]
        note = f"refused after {process.seconds:.1f} s"
        failures += ["refused late"] if "step 3/" in output else []
    scorecard(f"4 a path of {length} bytes", 1, failures, note)


@pytest.mark.parametrize("first, then", [(YEAR, -YEAR), (-YEAR, YEAR)])
def test_clocks_that_are_a_year_off(first, then, experiment, scorecard, tmp_path):
    workdir = tmp_path / "run"
    stopped(experiment, workdir, before=CLOCK.format(first=first, until=60, then=then))
    for step in committed_steps(workdir):  # the older, the newer by the file system's clock
        os.utime(workdir / "checkpoints" / str(step), (then - step, YEAR * 56 + then - step))
    before = CLOCK.format(first=then, until=60, then=first)
    failures = goes_on(experiment, workdir, before=before)
    seconds = [row["seconds"] for row in metrics(workdir)]
    if seconds != sorted(seconds) or seconds[-1] > 600:
        failures.append(f"the seconds of the metrics are {seconds}")
    way = "forward, then back" if first > 0 else "back, then forward"
    scorecard(f"4 the clock a year {way}, within runs and between them", 1, failures)
