"""Being asked to stop: saved and left with the exit code that says so; the second time at once."""

import random
import signal

import pytest

from tests.torture.runs import committed_steps, goes_on, metrics

INTERRUPTED, PREEMPTED, KILLED = 130, 75, 137  # as README.md promises
CODES = {signal.SIGTERM: PREEMPTED, signal.SIGUSR1: PREEMPTED, signal.SIGINT: INTERRUPTED}
DURING_EVALUATION = """
import os, signal
import lmjax.training.loop as loop
score_stream = loop.score_stream
def asked_meanwhile(*arguments, **named):
    for _ in range({times}):
        os.kill(os.getpid(), signal.{name})
    return score_stream(*arguments, **named)
loop.score_stream = asked_meanwhile
"""
GRACE = 30  # seconds


@pytest.mark.parametrize("number", CODES, ids=lambda number: number.name)
def test_asked_to_stop(number, experiment, full, scorecard, tmp_path):
    if number != signal.SIGTERM and not full:
        pytest.skip("with LMJAX_TORTURE=full")
    draw, failures, slowest = random.Random(number), [], 0.0
    trials = 4 if full else 1
    for trial in range(trials):
        workdir, step = tmp_path / str(trial), 3 * draw.randint(1, 15)
        process = experiment.start("rnn", workdir)
        assert process.when(lambda s=step, w=workdir: len(metrics(w)) * 3 >= s, number)
        sent = process.seconds
        code, output = process.wait()
        slowest = max(slowest, process.seconds - sent)
        if code != CODES[number] or f"stopped by {number.name} at step" not in output:
            failures.append(f"exit {code}: {output[-1000:]}")
        if f"at step {committed_steps(workdir)[-1]:,}, saved" not in output:
            failures.append(f"of {committed_steps(workdir)} it said {output[-300:]}")
        failures += goes_on(experiment, workdir)
    if slowest > GRACE:
        failures.append(f"{slowest:.1f} s from the signal to the exit")
    scorecard(
        f"4 {number.name} at a random step",
        trials,
        failures,
        f"exit {CODES[number]}, {slowest:.2f} s after the signal at most",
    )


@pytest.mark.parametrize("times, code", [(1, PREEMPTED), (2, KILLED)])
def test_asked_during_an_evaluation(times, code, experiment, full, scorecard, tmp_path):
    if not full:
        pytest.skip("with LMJAX_TORTURE=full")
    before = DURING_EVALUATION.format(times=times, name="SIGTERM")
    found, output = experiment.start("rnn", tmp_path / "run", before=before).wait()
    failures = [f"exit {found}: {output[-1000:]}"] if found != code else []
    rows = [row["step"] for row in metrics(tmp_path / "run") if row["kind"] == "evaluation"]
    if rows:
        failures.append(f"evaluations at {rows}")
    failures += goes_on(experiment, tmp_path / "run")
    how = "SIGTERM" if times == 1 else "a second SIGTERM"
    scorecard(f"4 {how} during an evaluation", 1, failures, f"exit {code}")


def test_interrupted_while_it_starts(experiment, full, scorecard, tmp_path):
    if not full:
        pytest.skip("with LMJAX_TORTURE=full")
    draw, failures, codes = random.Random(0), [], []
    for trial in range(6):
        process = experiment.start("rnn", tmp_path / str(trial))
        seconds = draw.uniform(0.5, 6)
        process.when(lambda s=seconds, p=process: p.seconds > s, signal.SIGINT)
        code, output = process.wait()
        codes.append(code)
        # Python itself ends by the signal as long as nothing of lmjax runs.
        if code not in (0, INTERRUPTED, -signal.SIGINT) or ("Traceback" in output and code >= 0):
            failures.append(f"after {seconds:.1f} s exit {code}: {output[-2000:]}")
        failures += goes_on(experiment, tmp_path / str(trial))
    scorecard("4 SIGINT while it starts", len(codes), failures, f"exit {sorted(set(codes))}")
