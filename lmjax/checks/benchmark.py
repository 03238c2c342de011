"""Times training steps in steady state, beside those of other programs, in turns."""

import json
import shlex
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from types import SimpleNamespace

import numpy as np
from ml_collections import ConfigDict

from lmjax.config import base_config
from lmjax.data.batch import Batch
from lmjax.errors import UserError, nearest
from lmjax.models.registry import build_model
from lmjax.objectives.registry import make_objective
from lmjax.runs.speed import product_flops_per_second
from lmjax.training.durations import Clock
from lmjax.training.program import make_program

WARMUP_STEPS = 5


@dataclass(frozen=True)
class Case:
    """A training step of a given size, on random tokens."""

    name: str
    family: str
    vocabulary_size: int
    batch_size: int
    length: int
    model: dict
    training: dict

    def config(self) -> ConfigDict:
        """The configuration that would train it."""
        config = base_config(self.family)
        config.data.update(batch_size=self.batch_size, length=self.length)
        config.model.update(self.model)
        config.training.update(self.training)
        return config

    def peer_arguments(self) -> list[str]:
        """The same size, as the peer programs' flags."""
        sizes = {
            name: self.model[name]
            for name in ("layers", "heads", "width", "dropout")
            if self.model.get(name)
        }
        sizes |= {"time": self.length, "batch": self.batch_size, "vocab": self.vocabulary_size}
        return [f"--{name}={value}" for name, value in sizes.items()]


GPT_TRAINING = dict(beta2=0.99, weight_decay=0.1, clip_norm=1.0, schedule="constant")
LSTM_TRAINING = dict(
    optimizer="sgd",
    learning_rate=1.0,
    clip_norm=5.0,
    schedule="constant",
    loss_reduction="sequence_mean",
)
CASES = {
    case.name: case
    for case in (
        Case(
            "gpt_cpu",
            "transformer",
            65,
            12,
            64,
            dict(layers=4, heads=4, width=128, context_length=64, feed_forward="gelu_exact"),
            GPT_TRAINING,
        ),
        Case(
            "gpt_10m",
            "transformer",
            65,
            16,
            256,
            dict(layers=6, heads=6, width=384, context_length=256, feed_forward="gelu_exact"),
            GPT_TRAINING,
        ),
        Case("lstm_small", "rnn", 10_000, 20, 20, dict(layers=2, width=200), LSTM_TRAINING),
        Case("lstm_medium", "rnn", 10_000, 20, 35, dict(layers=2, width=650), LSTM_TRAINING),
    )
}


@dataclass(frozen=True)
class Timing:
    """Milliseconds a step of one program, over all of its turns."""

    name: str
    median: float
    fastest: float
    slowest: float
    steps: int
    first: float = 0.0  # compiling and the first step; 0 for a peer


@dataclass(frozen=True)
class Comparison:
    """Our step beside the peers'; ratios are theirs / ours, so above 1 ours is the faster."""

    case: str
    batch_size: int
    length: int
    devices: int
    ours: Timing
    peers: list[Timing]
    ratios: list[float]
    gflop_per_step: float
    matmul_gflops: float  # of a product of two 1024 x 1024 float32 matrices
    ceiling: float  # milliseconds if all matrix products ran at that rate and the rest were free
    share_of_ceiling: float

    def to_json(self) -> dict:
        """All fields as plain values."""
        return asdict(self)


def find_case(name: str) -> Case:
    """The case of that name; raises UserError if there is none."""
    if name not in CASES:
        raise UserError(f"unknown case {name!r}: {nearest(name, CASES)}")
    return CASES[name]


def compare(case: Case, peers: list[str], python: str, steps: int, rounds: int) -> Comparison:
    """Times our step and the programs `peers` in turns, `rounds` turns of `steps` steps each.

    Raises UserError for a peer that fails or prints no timing.
    """
    run_ours, first, flops, devices = _our_step(case)
    matmul_gflops = product_flops_per_second() / 1e9
    own: list[float] = []
    theirs: list[list[float]] = [[] for _ in peers]
    for _ in range(rounds):
        own += [run_ours() for _ in range(steps)]
        for times, peer in zip(theirs, peers, strict=True):
            times.append(_run_peer(peer, case, python, steps))
    ours = _timing("lmjax", own, len(own), first)
    timings = [
        _timing(peer, times, steps * rounds) for peer, times in zip(peers, theirs, strict=True)
    ]
    ceiling = flops / matmul_gflops / 1e6
    return Comparison(
        case=case.name,
        batch_size=case.batch_size,
        length=case.length,
        devices=devices,
        ours=ours,
        peers=timings,
        ratios=[timing.median / ours.median for timing in timings],
        gflop_per_step=flops / 1e9,
        matmul_gflops=matmul_gflops,
        ceiling=ceiling,
        share_of_ceiling=ceiling / ours.median,
    )


def _our_step(case: Case) -> tuple[Callable[[], float], float, float, int]:
    """A function that makes one step and returns its milliseconds; those of the first; FLOPs."""
    config = case.config()
    data = config.data
    tokenizer = SimpleNamespace(vocabulary_size=case.vocabulary_size, end_id=None)
    model = build_model(config.model, tokenizer)
    clock = Clock(1000, data.batch_size * data.length, 1000)
    program = make_program(config, model, clock, make_objective(config.objective, tokenizer))
    execution = program.execution
    state = execution.place_state(program.fresh_state(), program.named)
    tokens_BT = np.random.default_rng(0).integers(
        0, case.vocabulary_size, (data.batch_size, data.length + 1), np.int32
    )
    batch = Batch(
        tokens_BT=tokens_BT[:, :-1],
        targets_BT=tokens_BT[:, 1:],
        weights_BT=np.ones((data.batch_size, data.length), np.float32),
        segment_ids_BT=None,
        positions_BT=None,
        continues_B=np.ones(data.batch_size, bool),
    )

    def run() -> float:
        nonlocal state
        start = time.perf_counter()
        state, metrics = execution(state, execution.place_batch(batch))
        execution.fetch(metrics)
        return 1e3 * (time.perf_counter() - start)

    first = run()
    for _ in range(WARMUP_STEPS):
        run()
    flops = program.cost.training_flops_per_token * data.batch_size * data.length
    return run, first, flops, execution.device_count


def _run_peer(peer: str, case: Case, python: str, steps: int) -> float:
    command = [python, *shlex.split(peer), *case.peer_arguments(), f"--steps={steps}"]
    done = subprocess.run(command, capture_output=True, text=True)
    try:
        return float(json.loads(done.stdout.strip().splitlines()[-1])["ms_per_step"])
    except (ValueError, KeyError, IndexError) as error:
        reason = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["it printed nothing"]
        raise UserError(f"the peer {peer!r} gave no timing: {reason[0]}") from error


def _timing(name: str, times: list[float], steps: int, first: float = 0.0) -> Timing:
    return Timing(name, statistics.median(times), min(times), max(times), steps, first)
