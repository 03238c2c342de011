"""Other writers, the locks of the dead, and folders that are not ours among the checkpoints."""

import json
import os
import resource
import shutil
import signal
import socket
from pathlib import Path

import pytest

from lmjax.checkpoints.store import Checkpoints
from tests.torture.failing_calls import is_whole, state_at
from tests.torture.runs import Outcome, goes_on, metrics, refused, stopped, unfinished_steps


def test_two_writers(experiment, full, scorecard, tmp_path):
    workdir, failures, slowest = tmp_path / "run", [], 0.0
    first = experiment.start("rnn", workdir, "--config.training.duration=60 steps")
    while first.running and len(metrics(workdir)) < 1:
        pass
    first.send(signal.SIGSTOP)  # so that it does not end meanwhile
    owner = json.loads((workdir / "lock.json").read_text())
    trials, before = 3 if full else 1, resource.getrusage(resource.RUSAGE_CHILDREN)
    for _ in range(trials):
        second = experiment.start("rnn", workdir)
        said = (f"process {first.pid} on {socket.gethostname()} since {owner['started']}",)
        failures += refused(second, "error: ", "is being written by", *said)
        slowest = max(slowest, second.seconds)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    worked = (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / trials
    first.send(signal.SIGCONT)
    first.succeed()
    differing = Outcome.of(workdir).differences(experiment.golden("rnn"))
    failures += [f"{what} differs" for what in differing]
    if worked > 5:
        failures.append(f"the second one worked {worked:.1f} s until it saw the first")
    note = f"refused within {slowest:.1f} s, {worked:.1f} s of work each"
    scorecard("4 a second writer", trials, failures, note)


def test_locks_of_the_dead_and_of_others(experiment, full, scorecard, tmp_path):
    if not full:
        pytest.skip("with LMJAX_TORTURE=full")
    workdir, failures = tmp_path / "run", []
    process = experiment.start("rnn", workdir)
    assert process.when(lambda: len(metrics(workdir)) >= 5)
    process.wait()
    lock = json.loads((workdir / "lock.json").read_text())
    (workdir / "lock.json").write_text(json.dumps({**lock, "host": "another"}))
    said = (f"process {lock['process']} on another since", f"delete {workdir / 'lock.json'}")
    failures += refused(experiment.start("rnn", workdir), "error: ", *said)
    (workdir / "lock.json").write_text(json.dumps(lock))
    output = experiment.start("rnn", workdir).succeed()
    if f"taken over from process {lock['process']}" not in output:
        failures.append(f"the lock of the dead is not said: {output[:1000]}")
    failures += goes_on(experiment, workdir)
    scorecard("4 the lock of a dead process, and of another host", 2, failures)


def foreign(folder: Path, copied: Path) -> dict[str, bool]:
    """Makes what is not a checkpoint there; returns whose content has to be kept."""
    (folder / "97").mkdir()
    for name in ("98", "notes", "12.orbax-checkpoint-tmp-7", "-3", "4e1"):
        (folder / name).mkdir()
        (folder / name / "notes.txt").write_text("mine")
    (folder / "96").write_text("mine")
    (folder / "95").symlink_to(folder / "notes")
    (folder / "94").symlink_to(folder / "nowhere")
    shutil.copytree(copied, folder / "93")
    (folder / "93" / "manifest.json").unlink()
    shutil.copytree(copied, folder / f"00{copied.name}")
    shutil.copytree(copied, folder / "92")
    (folder / "92" / "manifest.json").write_text("{")
    return {
        name: (path / "notes.txt").exists() for path in folder.iterdir() for name in [path.name]
    }


def kept(folder: Path) -> int:
    """How many of the foreign contents are still somewhere in `folder`."""
    return len(list(folder.rglob("notes.txt"))) + len(
        [path for path in folder.iterdir() if path.is_file() and path.read_text() == "mine"]
    )


def test_foreign_folders_among_checkpoints(scorecard, tmp_path):
    folder, said, failures = tmp_path / "checkpoints", [], []
    folder.mkdir()
    checkpoints = Checkpoints(folder, keep=2)
    for step in (2, 4):
        checkpoints.save(state_at(step), {"step": step})
    checkpoints.close()
    count = len(foreign(folder, folder / "2"))
    before = kept(folder)
    again = Checkpoints(folder, keep=2, say=said.append)
    if again.newest_intact() != 4 or not is_whole(again, 4):
        failures.append(f"the newest is {again.newest_intact()} of {again.steps}")
    for step in (6, 92, 95, 98):
        again.save(state_at(step), {"step": step})
        again.wait()
        if again.newest_intact() != step or not is_whole(again, step):
            failures.append(f"step {step} is not what was saved: {again.steps}")
    again.close()
    if kept(folder) != before:
        failures.append(f"{before - kept(folder)} contents are gone: {os.listdir(folder)}")
    scorecard(
        "4 foreign folders, files and links among checkpoints",
        count,
        failures,
        f"{len(said)} lines said of them",
    )


def test_a_run_among_foreign_folders(experiment, full, scorecard, tmp_path):
    if not full:
        pytest.skip("with LMJAX_TORTURE=full")
    stopped(experiment, tmp_path / "run")
    folder = tmp_path / "run" / "checkpoints"
    newest = max((path for path in folder.iterdir() if path.name.isdecimal()), key=lambda p: p.name)
    count = len(foreign(folder, newest))
    failures = goes_on(experiment, tmp_path / "run")
    left = unfinished_steps(tmp_path / "run")
    scorecard("4 a run resumed among them", count, failures, f"left: {left}" if left else "")
