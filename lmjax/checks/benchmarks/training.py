"""Training steps in steady state, beside those of other programs."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace

import jax
import numpy as np
from ml_collections import ConfigDict

from lmjax.checks.benchmarks.contract import Case, Result, Turns, in_turns
from lmjax.checks.benchmarks.profile import costliest
from lmjax.config import base_config
from lmjax.data.batch import Batch
from lmjax.models.registry import build_model
from lmjax.objectives.registry import make_objective
from lmjax.runs.speed import product_flops_per_second
from lmjax.training.durations import Clock
from lmjax.training.program import Program, make_program

WARMUP_STEPS = 5

GPT_TRAINING = dict(beta2=0.99, weight_decay=0.1, clip_norm=1.0, schedule="constant")
LSTM_TRAINING = dict(
    optimizer="sgd",
    learning_rate=1.0,
    clip_norm=5.0,
    schedule="constant",
    loss_reduction="sequence_mean",
)


@dataclass(frozen=True)
class TrainingStep(Case):
    """A training step of a given size, on random tokens."""

    family: str
    vocabulary_size: int
    batch_size: int
    length: int
    model: dict
    training: dict

    takes_peers = has_profile = True
    steps_of_a_turn = 40

    @property
    def about(self) -> str:
        sizes = ", ".join(f"{name} {value}" for name, value in self.model.items())
        return (
            f"a training step of the {self.family} with {sizes}: B {self.batch_size}, "
            f"T {self.length}, V {self.vocabulary_size:,}, float32"
        )

    def config(self) -> ConfigDict:
        """The configuration that would train it."""
        config = base_config(self.family)
        config.data.update(batch_size=self.batch_size, length=self.length)
        config.model.update(self.model)
        config.training.update(self.training)
        return config

    def measure(self, turns: Turns) -> Result:
        """Our step and the peers' in turns, and its time at the rate of large products."""
        program = self.program()
        run = self.runner(program)
        first = run()
        for _ in range(WARMUP_STEPS):
            run()
        if turns.profile:
            text = self.compiled(program).as_text()
            rows = costliest(run, turns.steps, turns.profile, text)
            return Result(self.name, self.about, rows, [f"trace in {turns.profile}"])
        flops = program.cost.training_flops_per_token * self.batch_size * self.length
        rate = product_flops_per_second()
        rows, told = in_turns(run, turns, self.peer_flags(), "step")
        ceiling, median = 1e3 * flops / rate, rows[0]["ms a step"]
        devices = program.execution.device_count
        notes = [
            f"ceiling {ceiling:.1f} ms: {flops / 1e9:.2f} GFLOP at the {rate / 1e9:.0f} GFLOP/s of "
            f"a large product; reached {ceiling / median:.0%} of it",
            f"{devices} devices; {program.cost.parameters:,} parameters; first step, with "
            f"compiling: {first / 1e3:.1f} s",
            *told,
        ]
        return Result(self.name, self.about, rows, notes)

    def peer_flags(self) -> dict:
        """The same size, as the peer programs' flags."""
        names = ("layers", "heads", "width", "dropout", "cell")
        sizes = {name: self.model[name] for name in names if self.model.get(name)}
        if inner := self.model.get("feed_forward_width"):
            sizes["inner"] = inner
        return sizes | {
            "time": self.length,
            "batch": self.batch_size,
            "vocab": self.vocabulary_size,
        }

    def program(self) -> Program:
        """The step, not compiled yet."""
        config = self.config()
        tokenizer = SimpleNamespace(vocabulary_size=self.vocabulary_size, end_id=None)
        model = build_model(config.model, tokenizer)
        clock = Clock(1000, self.batch_size * self.length, 1000)
        return make_program(config, model, clock, make_objective(config.objective, tokenizer))

    def runner(self, program: Program) -> Callable[[], float]:
        """A function that makes one step, looks at its metrics and returns its milliseconds."""
        execution = program.execution
        state = execution.place_state(program.fresh_state(), program.named)
        batch = self.batch()

        def run() -> float:
            nonlocal state
            start = time.perf_counter()
            state, metrics = execution(state, execution.place_batch(batch))
            execution.fetch(metrics)
            return 1e3 * (time.perf_counter() - start)

        return run

    def compiled(self, program: Program) -> jax.stages.Compiled:
        """The step as it is run."""
        execution = program.execution
        state = execution.place_state(program.fresh_state(), program.named)
        return execution.compiled(state, execution.place_batch(self.batch()))

    def batch(self) -> Batch:
        """Random tokens, of rows that go on from batch to batch."""
        tokens_BT = np.random.default_rng(0).integers(
            0, self.vocabulary_size, (self.batch_size, self.length + 1), np.int32
        )
        return Batch(
            tokens_BT=tokens_BT[:, :-1],
            targets_BT=tokens_BT[:, 1:],
            weights_BT=np.ones((self.batch_size, self.length), np.float32),
            segment_ids_BT=None,
            positions_BT=None,
            continues_B=np.ones(self.batch_size, bool),
        )


GPT = dict(feed_forward="gelu_exact")
MODERN = dict(layers=4, width=128, context_length=256, position="none", norm="rms_norm")
DELTA = dict(pattern=("gated_delta_net",), heads=4, feed_forward="swiglu", feed_forward_width=384)
TRAINING_STEPS = (
    TrainingStep(
        "gpt_cpu",
        "transformer",
        65,
        12,
        64,
        dict(layers=4, heads=4, width=128, context_length=64, **GPT),
        GPT_TRAINING,
    ),
    TrainingStep(
        "gpt_10m",
        "transformer",
        65,
        16,
        256,
        dict(layers=6, heads=6, width=384, context_length=256, **GPT),
        GPT_TRAINING,
    ),
    TrainingStep("lstm_small", "rnn", 10_000, 20, 20, dict(layers=2, width=200), LSTM_TRAINING),
    TrainingStep("lstm_medium", "rnn", 10_000, 20, 35, dict(layers=2, width=650), LSTM_TRAINING),
    TrainingStep(
        "gru_small", "rnn", 10_000, 20, 20, dict(layers=2, width=200, cell="gru"), LSTM_TRAINING
    ),
    TrainingStep(
        "gru_medium", "rnn", 10_000, 20, 35, dict(layers=2, width=650, cell="gru"), LSTM_TRAINING
    ),
    TrainingStep(
        "mamba",
        "transformer",
        65,
        8,
        256,
        MODERN | dict(pattern=("mamba",), feed_forward="none"),
        GPT_TRAINING,
    ),
    TrainingStep("gated_delta_net", "transformer", 65, 8, 256, MODERN | DELTA, GPT_TRAINING),
)
