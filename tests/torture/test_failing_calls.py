"""The n-th call that changes a file fails: it is said, and what was there before is there still."""

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.torture.failing_calls import compiled
from tests.torture.runs import ROOT, Outcome

# Python's and jax's own words for an exception that nobody turned into a message.
TRACES = ("Traceback", "Exception ignored", "never retrieved")


@pytest.fixture(scope="session")
def shim(tmp_path_factory) -> Path:
    try:
        return compiled(tmp_path_factory.mktemp("failing_calls"))
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"the library that lets calls fail needs a C compiler named cc ({error})")


@pytest.fixture
def quick_folder(tmp_path):
    """A folder in memory where there is one: fsync on a disk is what takes the time."""
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(dir=memory if os.access(memory, os.W_OK) else tmp_path))
    yield folder
    shutil.rmtree(folder)


def test_every_call_of_an_operation(shim, quick_folder, full, scorecard):
    environment = {"JAX_PLATFORMS": "cpu", "LD_PRELOAD": str(shim), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "tests.torture.failing_calls", quick_folder, "1" if full else "20"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert not any(trace in done.stderr for trace in TRACES), done.stderr[:3000]
    for name, (once, lasting) in (
        (name, parts.values()) for name, parts in json.loads(done.stdout).items()
    ):
        raised, complete = (
            once["outcomes"].get(outcome, 0) + lasting["outcomes"].get(outcome, 0)
            for outcome in ("raised", "complete")
        )
        kinds = ", ".join(sorted({*once["kinds"], *lasting["kinds"]}))
        scorecard(
            f"2 the n-th call fails, alone or with all after it: {name}",
            once["trials"] + lasting["trials"],
            once["failures"] + lasting["failures"],
            f"{raised} raised, {complete} complete all the same; {once['calls']} calls ({kinds})",
            once["seconds"] + lasting["seconds"],
        )


@pytest.mark.parametrize("family", ["rnn", "transformer"])
def test_a_training_goes_on_after_a_failing_call(
    family, experiment, shim, full, scorecard, tmp_path
):
    if family != "rnn" and not full:
        pytest.skip("with LMJAX_TORTURE=full")
    draw, failures, said = random.Random(family), [], set()
    trials = 6 if full else 1
    for trial in range(trials):
        workdir = tmp_path / f"run_{trial}"
        nth = int(10 ** draw.uniform(0, 3.6))
        failing = {"FAILING_CALLS_UNDER": str(workdir), "FAILING_CALLS_NTH": str(nth)}
        if trial % 2:
            failing["FAILING_CALLS_LASTING"] = "1"
        code, output = experiment.start(family, workdir, LD_PRELOAD=str(shim), **failing).wait()
        message = output.strip().splitlines()[-1]
        complete = code == 0 and not Outcome.of(workdir).differences(experiment.golden(family))
        if not complete and (code != 2 or not message.startswith("error: ")):
            failures.append(f"call {nth}: exit {code}: {output[-2000:]}")
        failures += [f"call {nth}: {output[-2000:]}" for trace in TRACES if trace in output]
        said.add(message.split("(")[0] if not complete else "complete")
        experiment.start(family, workdir).succeed()
        differing = Outcome.of(workdir).differences(experiment.golden(family))
        failures += [f"call {nth}: {what} differs afterwards" for what in differing]
    scorecard(
        f"2 the n-th call of a whole training fails, {family}",
        trials,
        failures,
        f"{len(said)} different messages",
    )
