"""Every benchmark, by name."""

from lmjax.checks.benchmarks.contract import Case
from lmjax.checks.benchmarks.counting import Counting
from lmjax.checks.benchmarks.decoding import DECODINGS
from lmjax.checks.benchmarks.evaluating import Evaluating
from lmjax.checks.benchmarks.growth import growths
from lmjax.checks.benchmarks.output_memory import OutputMemory
from lmjax.checks.benchmarks.starting import Starting
from lmjax.checks.benchmarks.training import LSTM_TRAINING, TRAINING_STEPS, TrainingStep
from lmjax.data.context import ContextPolicy
from lmjax.errors import UserError, nearest

_LARGE = TrainingStep(
    "large_vocabulary", "rnn", 50_000, 16, 256, dict(layers=1, width=256), LSTM_TRAINING
)
_STEPS = {step.name: step for step in TRAINING_STEPS}
_WINDOWS = tuple(ContextPolicy("windowed", window=64, stride=stride) for stride in (64, 16, 1))
_CARRIED = tuple(ContextPolicy("carried", rows=rows, chunk=1024 // rows) for rows in (20, 1))
_GROWING = _STEPS["gpt_cpu"], _STEPS["lstm_small"]

CASES: dict[str, Case] = {
    case.name: case
    for case in (
        *TRAINING_STEPS,
        *DECODINGS,
        Evaluating("evaluate_gpt", _STEPS["gpt_cpu"], _WINDOWS, 6_000),
        Evaluating("evaluate_lstm", _STEPS["lstm_small"], (*_CARRIED, *_WINDOWS), 6_000),
        OutputMemory("output_memory", _LARGE, (0, -1, 1024, 256)),
        *growths(_GROWING),
        Counting("count", (10**6, 3 * 10**6, 10**7, 3 * 10**7, 10**8), 5, 100_000),
        Starting("start", ("rnn", "attention_rnn", "transformer")),
    )
}


def find_case(name: str) -> Case:
    """The case of that name; raises UserError if there is none."""
    if name not in CASES:
        raise UserError(f"unknown case {name!r}: {nearest(name, CASES)}")
    return CASES[name]
