"""SIGKILL at random times: the run goes on, and comes to what it would have come to."""

import random
import time
from collections import Counter

import pytest

from tests.torture.runs import (
    KILLS,
    SAVE_EVERY,
    Outcome,
    committed_steps,
    log,
    metrics,
    unfinished_steps,
)

MOMENTS = ("from the start", "after a line", "inside a save", "at the end")
OFTEN = (4, 5, 2, 1)


class Killing:
    """Kills of one family's runs: a run that ends is looked at, and the next one begun."""

    def __init__(self, experiment, family, folder, seed):
        self.experiment, self.family, self.folder = experiment, family, folder
        self.golden = experiment.golden(family)
        self.random = random.Random(seed)
        self.kills, self.runs, self.most_lost = 0, 0, 0
        self.failures: list[str] = []
        self.fell: Counter[str] = Counter()

    def until(self, kills: int) -> None:
        """Kills so often, and lets the last run end."""
        while self.kills < kills and not self.failures:
            self.runs += 1
            workdir = self.folder / f"{self.family}_{self.runs}"
            while not self._trial(workdir, spare=self.kills == kills):
                if self.failures:
                    return
            for what in Outcome.of(workdir).differences(self.golden):
                self.failures.append(f"run {self.runs}: {what} differs")

    def _trial(self, workdir, spare: bool) -> bool:
        """Starts the run and kills it, or not; returns whether it came to its end."""
        committed, logged = committed_steps(workdir), len(log(workdir))
        unfinished = unfinished_steps(workdir)
        cache = {"LMJAX_CACHE_DIR": str(self.folder / "cache")}
        process = self.experiment.start(self.family, workdir, **cache)
        killed = not spare and process.when(self._moment(process, workdir))
        code, output = process.wait()
        if code not in ((0, -9) if killed else (0,)):
            self.failures.append(f"kill {self.kills}: exit {code}: {output[-1000:]}")
        said = log(workdir)[logged:]
        resumed = [line for line in said.splitlines() if line.startswith("resumed at")]
        if resumed and resumed != [f"resumed at step {committed[-1]:,}" if committed else ""]:
            self.failures.append(f"kill {self.kills}: {resumed}, of {committed}")
        if code == 0:
            return True
        self.kills += 1
        self._count(workdir, bool(said) or unfinished != unfinished_steps(workdir))
        return False

    def _moment(self, process, workdir):
        """When to kill: a function that says whether it is time."""
        moment = self.random.choices(MOMENTS, OFTEN)[0]
        seconds = self.random.uniform(0, 8)
        lines = log(workdir).count("\n") + self.random.randint(1, 9)
        delay = self.random.uniform(0, 0.03) * self.random.randint(0, 1)

        def late() -> bool:
            time.sleep(delay)
            return True

        return {
            "from the start": lambda: process.seconds > seconds,
            "after a line": lambda: log(workdir).count("\n") >= lines and late(),
            "inside a save": lambda: (
                log(workdir).count("\n") >= lines and unfinished_steps(workdir) and late()
            ),
            "at the end": lambda: "result: " in log(workdir) and late(),
        }[moment]

    def _count(self, workdir, began: bool) -> None:
        committed = committed_steps(workdir)
        if not began:
            self.fell["in set-up"] += 1
        elif unfinished_steps(workdir):
            self.fell["inside a save"] += 1
        else:
            self.fell["at the end" if "result: " in log(workdir) else "between saves"] += 1
        last = max((row["step"] for row in metrics(workdir)), default=0)
        lost = last - (committed[-1] if committed else 0)
        self.most_lost = max(self.most_lost, lost)
        if lost > 2 * SAVE_EVERY:  # a save that is not committed yet, and the steps meanwhile
            self.failures.append(f"kill {self.kills}: {lost} steps lost")


@pytest.mark.parametrize("family", KILLS)
def test_killed_at_random_times(family, experiment, full, scorecard, tmp_path):
    if family != "rnn" and not full:
        pytest.skip("with LMJAX_TORTURE=full")
    killing = Killing(experiment, family, tmp_path, seed=0)
    killing.until(KILLS[family] if full else 3)
    fell = ", ".join(f"{count} {where}" for where, count in sorted(killing.fell.items()))
    scorecard(
        f"1 SIGKILL at random times, {family}",
        killing.kills,
        killing.failures,
        f"{fell}; {killing.runs} runs; {killing.most_lost} logged steps lost at most",
    )
