"""Where the state of a run lies on the devices between its steps, and who takes the steps.

A loop knows its seat and nothing of who else trains. It asks for a step by yielding a batch, and is
given what became of it: `run_alone` takes the steps of one loop, `together.py` those of many.
"""

import time
from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any, Protocol

import jax

from lmjax.data.batch import Batch
from lmjax.training.execution import Execution
from lmjax.training.state import TrainState


@dataclass(frozen=True)
class Stepped:
    """What became of a batch."""

    metrics: Any  # on the devices; the seat fetches them
    seconds: float  # that it took to begin, or the run's share in them
    is_compiling: bool  # whether they went into compilation
    seconds_before: float = 0.0  # that were waited for the step before, or the run's share in them


Steps = Generator[Batch, Stepped, Any]  # a training: what it asks for, is given, and ends with


class Seat(Protocol):
    """The state of one run on the devices."""

    device_count: int
    replicas: int  # runs that share its steps

    def described(self) -> str:
        """The devices; on the same, a run is the same bit for bit."""

    def take(self, state: TrainState) -> None:
        """Puts a state of the host here."""

    def params(self) -> Any:
        """The parameters as a model takes them, on the devices; gone with the next step."""

    def fetch(self, metrics: Any) -> Any:
        """The metrics of a step on the host."""

    def fetch_params(self) -> Any:
        """The parameters on the host."""

    def fetch_state(self) -> TrainState:
        """The state on the host, in the layout that checkpoints have."""

    def scale_learning_rate(self, factor: float) -> None:
        """Multiplies the learning rate of all steps to come."""

    def begin_averaging(self) -> None:
        """From now on parameters are the mean of what they are now and after each step to come."""


class OwnSeat:
    """The seat of a run that trains alone."""

    replicas = 1

    def __init__(self, execution: Execution, named: TrainState):
        """`named` is the abstract state, boxed with the logical names of its axes."""
        self._execution, self._named = execution, named
        self._compiled: set[tuple] = set()  # shapes of batches that the step is compiled for
        self.device_count = execution.device_count

    def described(self) -> str:
        return self._execution.described()

    def take(self, state: TrainState) -> None:
        self._state = self._execution.place_state(state, self._named)

    def params(self) -> Any:
        return self._execution.on_devices(self._state.params)

    def fetch(self, metrics: Any) -> Any:
        return self._execution.fetch(metrics)

    def fetch_params(self) -> Any:
        return self._execution.fetch(self._state.params)

    def fetch_state(self) -> TrainState:
        return self._execution.fetch_state(self._state)

    def scale_learning_rate(self, factor: float) -> None:
        scale = self._state.learning_rate_scale * factor
        self._state = replace(self._state, learning_rate_scale=scale)

    def begin_averaging(self) -> None:
        count = self._state.averaging.count * 0 + 1  # where it is
        averaging = replace(self._state.averaging, count=count)
        self._state = replace(self._state, averaging=averaging)

    def step(self, batch: Batch) -> Stepped:
        """Takes a step, for whose result nobody waits yet."""
        start, shapes = time.monotonic(), tuple(leaf.shape for leaf in jax.tree.leaves(batch))
        placed = self._execution.place_batch(batch)
        self._state, metrics = self._execution(self._state, placed)
        is_compiling = shapes not in self._compiled
        self._compiled.add(shapes)
        return Stepped(metrics, time.monotonic() - start, is_compiling)


def run_alone(steps: Steps, seat: OwnSeat) -> Any:
    """Takes every step that a training asks for; returns what it ends with."""
    try:
        batch = next(steps)
        while True:
            try:
                stepped = seat.step(batch)
            except BaseException as error:  # the training is to know, and to put itself in order
                batch = steps.throw(error)
            else:
                batch = steps.send(stepped)
    except StopIteration as ended:
        return ended.value
