"""How the time of a training step grows with the length of rows, or with their number."""

import statistics
from dataclasses import dataclass, replace
from typing import Any

from lmjax.checks.benchmarks.contract import Case, Result, Turns
from lmjax.checks.benchmarks.training import GPT_TRAINING, LSTM_TRAINING, TrainingStep


@dataclass(frozen=True)
class Growth(Case):
    """Training steps of models, each at several sizes; `says` what changes."""

    says: str
    steps: tuple[TrainingStep, ...]  # of a model the smallest first

    steps_of_a_turn = 5

    @property
    def about(self) -> str:
        return self.says

    def measure(self, turns: Turns) -> Result:
        """Every step by itself, `rounds` times `steps` of each; ratios are to a model's first."""
        rows: list[dict[str, Any]] = []
        first: dict[str, float] = {}
        for step in self.steps:
            turns.tell(f"{step.name}, B {step.batch_size}, T {step.length:,}")
            program = step.program()
            run = step.runner(program)
            run()
            run()
            found = [run() for _ in range(turns.steps * turns.rounds)]
            median = statistics.median(found)
            nanoseconds = 1e6 * median / (step.batch_size * step.length)
            rows.append(
                {
                    "model": step.name,
                    "B": step.batch_size,
                    "T": step.length,
                    "devices": program.execution.device_count,
                    "ms a step": median,
                    "microseconds a token": nanoseconds / 1e3,
                    "of the first": nanoseconds / first.setdefault(step.name, nanoseconds),
                }
            )
        return Result(self.name, self.about, rows)


LENGTHS = (64, 256, 1024, 4096)
_MODERN = dict(layers=2, width=128, position="none", feed_forward="none", context_length=4096)
_OF_LENGTH = (
    TrainingStep(
        "attention",
        "transformer",
        65,
        1,
        1,
        dict(layers=2, heads=4, width=128, context_length=4096),
        GPT_TRAINING,
    ),
    TrainingStep("lstm", "rnn", 65, 1, 1, dict(layers=2, width=128), LSTM_TRAINING),
    TrainingStep(
        "mamba", "transformer", 65, 1, 1, _MODERN | dict(pattern=("mamba",)), GPT_TRAINING
    ),
    TrainingStep(
        "gated_delta_net",
        "transformer",
        65,
        1,
        1,
        _MODERN | dict(heads=4, pattern=("gated_delta_net",)),
        GPT_TRAINING,
    ),
)


def growths(of_batch: tuple[TrainingStep, ...]) -> tuple[Growth, ...]:
    """The two cases; with more rows those steps grow that are given."""
    return (
        Growth(
            "growth_in_length",
            "microseconds a token of two layers of 128, by T, in steps of one row",
            tuple(replace(step, length=length) for step in _OF_LENGTH for length in LENGTHS),
        ),
        Growth(
            "growth_in_batch",
            "milliseconds a step, by B",
            tuple(
                replace(step, batch_size=step.batch_size * factor)
                for step in of_batch
                for factor in (1, 2, 4, 8)
            ),
        ),
    )
