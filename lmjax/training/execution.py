"""How a pure step runs on devices: `jit` over a mesh, or `pmap`. It knows nothing of models.

Between steps the state lives on the devices in the mode's own layout; `fetch` gives it back as
host arrays in the one layout that checkpoints have, whatever the mode.
"""

import ctypes
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import flax.linen as nn
import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from ml_collections import ConfigDict

from lmjax.data.batch import Batch
from lmjax.errors import DeviceError, UserError, nearest
from lmjax.runs.environment import core_count
from lmjax.training.state import TrainState
from lmjax.training.step import TrainStep

MOST_CPU_DEVICES = 8

# glibc's M_ARENA_MAX, M_MMAP_THRESHOLD, M_TRIM_THRESHOLD. By default it gives an array's memory
# back to the system when it is freed, and the next step's page faults took a quarter of the time of
# an LSTM step with 10,000 words.
ALLOCATION = {-8: 1, -3: 1 << 30, -1: (1 << 31) - 1}

DEVICE_FAILURES = ("ABORTED", "DATA_LOSS", "DEADLINE_EXCEEDED", "INTERNAL", "UNAVAILABLE")

# Logical axis of a parameter -> axis of the mesh. Data parallel: parameters are whole everywhere.
LAYOUT = tuple(
    (axis, None)
    for axis in ("vocab", "embed", "mlp", "heads", "layers", "hidden", "gates", "position")
)


def prepare_devices(cpu_devices: int = 0) -> None:
    """Asks for virtual CPU devices (0: one a core), if jax has not begun to use its devices.

    XLA threads little of a small model's element-wise work; a device a core does.
    """
    _keep_freed_memory()
    wanted = cpu_devices or min(MOST_CPU_DEVICES, core_count())
    try:
        jax.config.update("jax_num_cpu_devices", wanted)
    except RuntimeError as error:
        if cpu_devices and len(jax.devices("cpu")) != cpu_devices:
            raise UserError(
                f"execution.cpu_devices is {cpu_devices}, but this process already runs "
                f"{len(jax.devices('cpu'))}; set it before anything else uses jax"
            ) from error


def _keep_freed_memory() -> None:
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt:
        for option, value in ALLOCATION.items():
            mallopt(option, value)


def make_execution(execution: ConfigDict, step: TrainStep, batch_size: int) -> "Execution":
    """The execution that the configuration names, on as many devices as divide the batch."""
    if execution.mode not in MODES:
        hint = nearest(execution.mode, MODES)
        raise UserError(f"unknown execution.mode {execution.mode!r}: {hint}")
    if step.accumulation_steps < 1 or batch_size % step.accumulation_steps:
        raise UserError(
            f"data.batch_size {batch_size} is not a multiple of training.accumulation_steps "
            f"{step.accumulation_steps}; change one of them"
        )
    devices = jax.devices()
    rows = batch_size // step.accumulation_steps
    count = max(n for n in range(1, len(devices) + 1) if rows % n == 0)
    return MODES[execution.mode](step, devices[:count])


class JitExecution:
    """`jit` over a mesh with one axis, `data`: rows are spread, parameters laid out by LAYOUT."""

    def __init__(self, step: TrainStep, devices: list[jax.Device]):
        self.mesh = jax.make_mesh(
            (len(devices),), ("data",), axis_types=(AxisType.Auto,), devices=devices
        )
        self.device_count = len(devices)
        self._rows = NamedSharding(self.mesh, PartitionSpec("data"))
        self._step = jax.jit(step, donate_argnums=0)

    def place_state(self, state: TrainState, names: TrainState) -> TrainState:
        """`state` on the devices; `names` is its abstract tree, boxed with logical axis names."""
        layout = nn.logical_to_mesh_sharding(nn.get_partition_spec(names), self.mesh, LAYOUT)
        layout = replace(layout, carry=jax.tree.map(lambda _: self._rows, state.carry))
        return jax.device_put(state, layout, may_alias=False)  # its buffers are donated

    def place_batch(self, batch: Batch) -> Batch:
        return jax.device_put(batch, self._rows)

    def __call__(self, state: TrainState, batch: Batch) -> tuple[TrainState, dict[str, jax.Array]]:
        return self._step(state, batch)

    def described(self) -> str:
        return _described(self.mesh.devices.flat)

    def fetch(self, tree: Any) -> Any:
        return jax.device_get(tree)

    def fetch_state(self, state: TrainState) -> TrainState:
        return jax.device_get(state)


class PmapExecution:
    """`pmap`: a copy of the parameters and a share of the rows on each device."""

    mesh = None

    def __init__(self, step: TrainStep, devices: list[jax.Device]):
        self.device_count, self._devices = len(devices), devices
        step = replace(step, axis_name="data")
        self._step = jax.pmap(step, axis_name="data", devices=devices, donate_argnums=0)

    def place_state(self, state: TrainState, names: TrainState) -> TrainState:
        """`state` on the devices; every parameter is copied, whatever its axes' `names`."""
        copied = jax.tree.map(self._copy, state)
        return replace(copied, carry=jax.tree.map(self._share, state.carry))

    def place_batch(self, batch: Batch) -> Batch:
        return jax.tree.map(self._share, batch)

    def __call__(self, state: TrainState, batch: Batch) -> tuple[TrainState, dict[str, jax.Array]]:
        return self._step(state, batch)

    def described(self) -> str:
        return _described(self._devices)

    def fetch(self, tree: Any) -> Any:
        return jax.tree.map(lambda leaf: np.asarray(leaf[0]), tree)

    def fetch_state(self, state: TrainState) -> TrainState:
        merged = jax.tree.map(
            lambda leaf: np.asarray(leaf).reshape(-1, *leaf.shape[2:]), state.carry
        )
        return replace(self.fetch(replace(state, carry=None)), carry=merged)

    def _copy(self, leaf):
        leaf = np.asarray(leaf)
        return np.broadcast_to(leaf, (self.device_count, *leaf.shape))

    def _share(self, leaf):
        leaf = np.asarray(leaf)
        return leaf.reshape(self.device_count, -1, *leaf.shape[1:])


def _described(devices: Iterable[jax.Device]) -> str:
    """Their number and kinds: with the same, a run is the same bit for bit."""
    kinds = Counter(f"{device.platform} {device.device_kind}" for device in devices)
    return ", ".join(f"{number} x {kind}" for kind, number in sorted(kinds.items()))


@contextmanager
def device_errors():
    """Turns the failure of a device into a DeviceError that says what to do."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        first_line = str(error).partition("\n")[0]
        if first_line.startswith("RESOURCE_EXHAUSTED"):
            cure = "lower data.batch_size or raise training.accumulation_steps"
        elif first_line.startswith(DEVICE_FAILURES):
            cure = "the same command goes on from the newest checkpoint"
        else:
            raise
        raise DeviceError(f"the device failed ({first_line}); {cure}") from error


Execution = JitExecution | PmapExecution
MODES: dict[str, Callable[..., Execution]] = {"jit": JitExecution, "pmap": PmapExecution}
