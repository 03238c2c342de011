"""Operations that must survive a failing call, and the sweep over the calls that can fail.

Run as a program with failing_calls.c preloaded, it prints as JSON what they came to, with every
`STRIDE`-th call of the longer ones:
`python -m tests.torture.failing_calls FOLDER STRIDE`.
"""

import ctypes
import json
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from lmjax.checkpoints.store import Checkpoints
from lmjax.cli.quiet import quieten
from lmjax.config import base_config
from lmjax.errors import UserError
from lmjax.runs.files import write_atomically
from lmjax.runs.lock import only_writer
from lmjax.runs.metrics import MetricsFile
from lmjax.runs.run_directory import RunDirectory
from lmjax.training.state import TrainState
from tests.toy_states import training_state


@dataclass(frozen=True)
class Operation:
    """What is done to a folder; `check` says what is wrong with it afterwards, or None."""

    prepare: Callable[[Path], Any]
    act: Callable[[Any], None]
    check: Callable[[Any, bool], str | None]  # given whether `act` raised
    raises: type[Exception] = UserError


def compiled(folder: Path) -> Path:
    """The library that is preloaded; raises OSError or CalledProcessError without a compiler."""
    library = folder / "failing_calls.so"
    source = Path(__file__).with_suffix(".c")
    command = ["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"]
    subprocess.run(command, check=True, capture_output=True)
    return library


def sweep(operation: Operation, folder: Path, stride: int, lasting: bool) -> dict[str, Any]:
    """Lets the n-th call fail for every `stride`-th n until none does; counts what followed."""
    library = ctypes.CDLL(None)
    library.failing_calls_failed.restype = ctypes.c_char_p
    start = time.monotonic()
    nth, outcomes, calls, failures = random.Random(stride).randint(1, stride), Counter(), [], []
    while True:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        subject, error = operation.prepare(folder), None
        library.failing_calls_arm(str(folder).encode(), nth, lasting)
        try:
            operation.act(subject)
        except Exception as raised:
            error = raised
        seen = library.failing_calls_disarm()
        failed = library.failing_calls_failed()
        what = f"call {nth} ({failed.decode() if failed else 'none'} failed)"
        if error and not isinstance(error, operation.raises):
            failures.append(f"{what}: raised {error!r}")
        try:
            wrong = operation.check(subject, error is not None)
        except Exception as raised:
            wrong = repr(raised)
        if wrong:
            failures.append(f"{what}, {'raised' if error else 'quiet'}: {wrong}")
        if failed is None:
            break
        outcomes["raised" if error else "complete"] += 1
        calls.append(failed.decode())
        nth += stride
    if error:
        failures.append(f"without a failing call it raised {error!r}")
    return {
        "calls": seen,
        "trials": len(calls),
        "kinds": Counter(calls),
        "outcomes": outcomes,
        "failures": failures,
        "seconds": time.monotonic() - start,
    }


def state_at(step: int) -> TrainState:
    """A state that has its step in every array."""
    params = {"kernel": np.full((40, 30), step, np.float32), "bias": np.full(30, -step, np.float32)}
    carry = {"hidden": np.full((4, 8), step / 7, np.float32)}
    return training_state(step, {"params": params}, (np.int32(step), params), carry)


def is_whole(checkpoints: Checkpoints, step: int) -> bool:
    """Whether the checkpoint of `step` is the state that was saved, bit for bit."""
    same = jax.tree.map(
        lambda a, b: np.asarray(a).tobytes() == np.asarray(b).tobytes(),
        checkpoints.restore(step, state_at(0)),
        state_at(step),
    )
    return all(jax.tree.leaves(same)) and checkpoints.about(step) == {"step": step}


def _saved_before(folder: Path) -> Checkpoints:
    template = folder.with_name(f"{folder.name}_template")
    if not template.exists():
        template.mkdir()
        checkpoints = Checkpoints(template)
        checkpoints.save(state_at(2), {"step": 2})
        checkpoints.close()
    shutil.copytree(template, folder, dirs_exist_ok=True)
    return Checkpoints(folder)


def _save(checkpoints: Checkpoints) -> None:
    checkpoints.save(state_at(3), {"step": 3})
    checkpoints.wait()


def _check_saved(checkpoints: Checkpoints, raised: bool) -> str | None:
    checkpoints.close()
    said: list[str] = []
    again = Checkpoints(checkpoints._folder, say=said.append)
    newest = again.newest_intact()
    said = [line for line in said if not line.endswith("3.unvouched")]
    if newest not in ((2, 3) if raised else (3,)) or said:
        return f"the newest is {newest}, said {said}"
    if not is_whole(again, newest):
        return f"{newest} is not what was saved"
    again.save(state_at(4), {"step": 4})
    again.wait()
    if again.steps != [4] or again.newest_intact() != 4 or not is_whole(again, 4):
        return f"a later save came to {again.steps}"
    again.close()


def _old_file(folder: Path) -> Path:
    (folder / "file").write_text("old")
    return folder / "file"


def _check_file(path: Path, raised: bool) -> str | None:
    content = path.read_text()
    if content not in (("old", "new" * 999) if raised else ("new" * 999,)):
        return f"the file holds {content[:20]!r}"


ROWS = [{"kind": "train", "step": step, "loss": 1 / step} for step in (3, 6, 9)]


def _metrics(folder: Path) -> MetricsFile:
    metrics = MetricsFile(folder / "metrics.jsonl")
    for row in ROWS[:2]:
        metrics.append(row)
    return metrics


def _check_metrics(metrics: MetricsFile, raised: bool) -> str | None:
    rows = metrics.rows()
    if rows not in ((ROWS[:2], ROWS) if raised else (ROWS,)):
        return f"the rows are {rows}"
    for again in (metrics, MetricsFile(metrics.path)):
        again.truncate({"train": 6})
        again.append(ROWS[2])
        if again.rows() != ROWS:
            return f"after another start the rows are {again.rows()}"


def _torn_metrics(folder: Path) -> MetricsFile:
    metrics = _metrics(folder)
    metrics.append(ROWS[2])
    with open(metrics.path, "ab") as file:
        file.write(b'{"kind": "tr')
    return MetricsFile(metrics.path)


def _check_truncated(metrics: MetricsFile, raised: bool) -> str | None:
    rows = metrics.rows()
    if rows not in ((ROWS, ROWS[:2]) if raised else (ROWS[:2],)):
        return f"the rows are {rows}"
    return _check_metrics(metrics, True)


def _check_created(run: RunDirectory, raised: bool) -> str | None:
    if not raised and run.config().to_dict() != base_config("rnn").to_dict():
        return "the configuration is another one"
    run.create(base_config("rnn"))
    run.write_environment()
    if run.config().to_dict() != base_config("rnn").to_dict():
        return "the configuration is another one after another start"


def _create(run: RunDirectory) -> None:
    run.create(base_config("rnn"))
    run.write_environment()


def _created(folder: Path) -> RunDirectory:
    run = RunDirectory(folder)
    run.create(base_config("rnn"))
    return run


def _check_results(run: RunDirectory, raised: bool) -> str | None:
    if run.is_finished and run.results() != {"loss": [0.1] * 99}:
        return "the results are other ones"
    if not raised and not run.is_finished:
        return "the results are not there"


def _log(run: RunDirectory) -> None:
    run.log("step 3")
    run.write_batch(3, {"tokens": np.arange(9), "segments": None})


def _check_log(run: RunDirectory, raised: bool) -> str | None:
    if not raised and (run.path / "log.txt").read_text() != "step 3\n":
        return "the line is not in the log"


def _hold(folder: Path) -> None:
    with only_writer(folder) as taken_over:
        if taken_over:
            raise AssertionError(taken_over)
        (folder.parent / "held").touch()


def _check_lock(folder: Path, raised: bool) -> str | None:
    held = folder.parent / "held"
    if not held.exists() and not raised:
        return "it was not held"
    held.unlink(missing_ok=True)
    with only_writer(folder):
        pass
    if (folder / "lock.json").exists():
        return "the lock is still there"


OPERATIONS = {
    "a save with rotation": Operation(_saved_before, _save, _check_saved),
    "a file replaced": Operation(
        _old_file, lambda path: write_atomically(path, "new" * 999), _check_file, OSError
    ),
    "a row of metrics": Operation(_metrics, lambda file: file.append(ROWS[2]), _check_metrics),
    "metrics truncated": Operation(
        _torn_metrics, lambda file: file.truncate({"train": 6}), _check_truncated
    ),
    "a run begun": Operation(RunDirectory, _create, _check_created),
    "results": Operation(
        _created, lambda run: run.write_results({"loss": [0.1] * 99}), _check_results
    ),
    "a line and a batch kept": Operation(_created, _log, _check_log),
    "the lock": Operation(lambda folder: folder, _hold, _check_lock),
}
LONG = ("a save with rotation", "a run begun")


if __name__ == "__main__":
    quieten()
    folder, stride = Path(sys.argv[1]) / "work", int(sys.argv[2])
    found = {
        name: {
            how: sweep(operation, folder, stride if name in LONG else 1, lasting)
            for how, lasting in (("once", False), ("from then on", True))
        }
        for name, operation in OPERATIONS.items()
    }
    print(json.dumps(found))
