"""Every benchmark, by name."""

from lmjax.checks.benchmarks.contract import Case
from lmjax.checks.benchmarks.decoding import DECODINGS
from lmjax.checks.benchmarks.growth import growths
from lmjax.checks.benchmarks.output_memory import OutputMemory
from lmjax.checks.benchmarks.training import LSTM_TRAINING, TRAINING_STEPS, TrainingStep
from lmjax.errors import UserError, nearest

_LARGE = TrainingStep(
    "large_vocabulary", "rnn", 50_000, 16, 256, dict(layers=1, width=256), LSTM_TRAINING
)
_GROWING = tuple(step for step in TRAINING_STEPS if step.name in ("gpt_cpu", "lstm_small"))

CASES: dict[str, Case] = {
    case.name: case
    for case in (
        *TRAINING_STEPS,
        *DECODINGS,
        OutputMemory("output_memory", _LARGE, (0, -1, 1024, 256)),
        *growths(_GROWING),
    )
}


def find_case(name: str) -> Case:
    """The case of that name; raises UserError if there is none."""
    if name not in CASES:
        raise UserError(f"unknown case {name!r}: {nearest(name, CASES)}")
    return CASES[name]
