"""Many runs in one program: a state whose arrays have a first axis R, and one step under `vmap`.

A replica sees its own parameters, batch and hyperparameters alone, so one that diverges spoils no
other: its place is computed on, and nobody looks at it. Replicas are spread over the devices.
"""

import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from lmjax.data.batch import Batch
from lmjax.runs.devices import available_bytes, described_devices
from lmjax.training.seats import Stepped
from lmjax.training.state import TrainState
from lmjax.training.step import TrainStep

USABLE = 0.8  # of the memory that is free


class StackedMetrics:
    """The metrics of all replicas; they come to the host once, when the first is asked for."""

    def __init__(self, stacked: Any):
        self._stacked, self._host = stacked, None

    def wait(self) -> None:
        jax.block_until_ready(self._stacked)

    def of(self, index: int) -> Any:
        if self._host is None:
            self._host = jax.device_get(self._stacked)
        return jax.tree.map(lambda leaf: leaf[index], self._host)


class Replicas:
    """The devices' side of `count` runs that differ in seed and hyperparameters alone."""

    def __init__(self, step: TrainStep, count: int, state: TrainState, batch: Batch):
        """Compiles the step for a state and a batch of one run, of which shapes alone are read."""
        devices = jax.devices()[:count]
        self.device_count = len(devices)
        # Where they don't spread evenly, the last places hold copies of the first replica.
        self._places = -(-count // len(devices)) * len(devices)
        axis = (AxisType.Auto,)
        mesh = jax.make_mesh((len(devices),), ("replica",), axis_types=axis, devices=devices)
        self._place = NamedSharding(mesh, PartitionSpec("replica"))
        self.seats = [ReplicaSeat(self, index) for index in range(count)]
        self._taken: dict[int, TrainState] = {}  # by replica: what is to be put in its place
        self._state: TrainState | None = None
        self._before: StackedMetrics | None = None
        start = time.monotonic()
        stacked = partial(jax.ShapeDtypeStruct, sharding=self._place)
        shapes = jax.tree.map(
            lambda leaf: stacked((self._places, *leaf.shape), leaf.dtype), (state, batch)
        )
        step = jax.jit(jax.vmap(step), donate_argnums=0, out_shardings=self._place)
        self._step = step.lower(*shapes).compile()
        self.compile_seconds = (time.monotonic() - start) / count  # each replica's share
        self._write = jax.jit(_written, donate_argnums=0, out_shardings=self._place)

    @property
    def count(self) -> int:
        return len(self.seats)

    @property
    def most(self) -> int:
        """About how many replicas the memory that is free now has room for; at least one."""
        memory = self._step.memory_analysis()
        needed = memory.argument_size_in_bytes + memory.temp_size_in_bytes
        needed += memory.output_size_in_bytes - memory.alias_size_in_bytes
        device = self._place.mesh.devices.flat[0]
        shared_by = self.device_count if device.platform == "cpu" else 1
        usable = USABLE * available_bytes(device) / shared_by
        return max(1, min(self.count, int(self.count * usable / needed)))

    def described(self) -> str:
        devices = described_devices(self._place.mesh.devices.flat)
        return f"{devices}, as one of {self.count} replicas"

    def step(self, batches: Mapping[int, Batch]) -> dict[int, Stepped]:
        """Takes a step of the replicas that have a batch, for whose result nobody waits yet."""
        self.settle()
        start, any_batch = time.monotonic(), next(iter(batches.values()))
        rows = [batches.get(index, any_batch) for index in range(self._places)]
        stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *rows)
        self._state, metrics = self._step(self._state, jax.device_put(stacked, self._place))
        before, self._before = self._before, StackedMetrics(metrics)
        begun = time.monotonic()
        if before:
            before.wait()
        count = len(batches)
        seconds, seconds_before = (begun - start) / count, (time.monotonic() - begun) / count
        return {
            index: Stepped((self._before, index), seconds, False, seconds_before)
            for index in batches
        }

    def take(self, index: int, state: TrainState) -> None:
        self._taken[index] = state

    def settle(self) -> None:
        """Puts in place what was taken since."""
        if self._state is None:
            states = [self._taken.pop(index) for index in range(self.count)]
            states += states[:1] * (self._places - self.count)
            stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *jax.device_get(states))
            self._state = jax.device_put(stacked, self._place)
        while self._taken:
            index, state = self._taken.popitem()
            self._state = self._write(self._state, state, np.int32(index))

    def read(self, index: int, tree_of: Any) -> Any:
        """Of one replica what `tree_of` takes from the state."""
        self.settle()
        return _taken_out(tree_of(self._state), np.int32(index))

    def scale_learning_rate(self, index: int, factor: float) -> None:
        self.settle()
        scale_R = np.array(self._state.learning_rate_scale)
        scale_R[index] *= np.float32(factor)
        placed = jax.device_put(scale_R, self._place)
        self._state = replace(self._state, learning_rate_scale=placed)

    def begin_averaging(self, index: int) -> None:
        self.settle()
        count_R = np.array(self._state.averaging.count)
        count_R[index] = 1
        averaging = replace(self._state.averaging, count=jax.device_put(count_R, self._place))
        self._state = replace(self._state, averaging=averaging)


class ReplicaSeat:
    """The seat of one replica, see `seats.Seat`."""

    def __init__(self, replicas: Replicas, index: int):
        self._all, self._index = replicas, index

    @property
    def device_count(self) -> int:
        return self._all.device_count

    @property
    def replicas(self) -> int:
        return self._all.count

    @property
    def compile_seconds(self) -> float:
        return self._all.compile_seconds

    def described(self) -> str:
        return self._all.described()

    def take(self, state: TrainState) -> None:
        self._all.take(self._index, state)

    def params(self) -> Any:
        return self._all.read(self._index, lambda state: state.params)

    def fetch(self, metrics: tuple[StackedMetrics, int]) -> Any:
        stacked, index = metrics
        return stacked.of(index)

    def fetch_params(self) -> Any:
        return jax.device_get(self.params())

    def fetch_state(self) -> TrainState:
        return jax.device_get(self._all.read(self._index, lambda state: state))

    def scale_learning_rate(self, factor: float) -> None:
        self._all.scale_learning_rate(self._index, factor)

    def begin_averaging(self) -> None:
        self._all.begin_averaging(self._index)


def _written(stacked: Any, one: Any, index: jax.Array) -> Any:
    return jax.tree.map(lambda leaf, new: leaf.at[index].set(new), stacked, one)


@jax.jit
def _taken_out(stacked: Any, index: jax.Array) -> Any:
    return jax.tree.map(lambda leaf: leaf[index], stacked)
