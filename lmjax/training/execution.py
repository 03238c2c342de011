"""How a pure step runs on devices: `jit` over a mesh, or `pmap`. It knows nothing of models.

Between steps the state lives on the devices in the mode's own layout; `fetch` gives it back as
host arrays in the one layout that checkpoints have, whatever the mode.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from ml_collections import ConfigDict

from lmjax.data.batch import Batch
from lmjax.errors import UserError, nearest
from lmjax.runs.devices import described_devices
from lmjax.training.mesh import layout, make_mesh, mesh_sizes, parsed_rules, rows_layout
from lmjax.training.state import TrainState
from lmjax.training.step import TrainStep

MODES = ("jit", "pmap")


def make_execution(
    execution: ConfigDict, step: TrainStep, batch_size: int, most: int | None = None
) -> "Execution":
    """The execution that the configuration names; `most` devices are the rest of its mesh.

    Raises UserError for a mode, a mesh or rules that can't be, or a batch that can't be divided.
    """
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
    sizes = mesh_sizes(execution.mesh, rows, len(devices), most)
    if execution.mode == "jit":
        return JitExecution(step, devices, sizes, parsed_rules(execution.rules))
    if set(sizes) != {"data"}:
        raise UserError("execution.mode 'pmap' has the axis data alone; set execution.mode='jit'")
    return PmapExecution(step, devices[: sizes["data"]])


class JitExecution:
    """`jit` over a mesh of axes of these `sizes`; parameters are laid out by `rules`."""

    def __init__(
        self,
        step: TrainStep,
        devices: list[jax.Device],
        sizes: dict[str, int] | None = None,
        rules: dict[str, str] | None = None,
    ):
        self.mesh = make_mesh(sizes or {"data": len(devices)}, devices)
        self.device_count = self.mesh.size
        self._rules = rules or {}
        self._rows = rows_layout(self.mesh)
        self._step = step
        self._compiled: Callable | None = None

    def place_state(self, state: TrainState, names: TrainState) -> TrainState:
        """`state` on the devices; `names` is its abstract tree, boxed with logical axis names."""
        places = layout(self.mesh, self._rules, names)
        places = replace(places, carry=jax.tree.map(lambda _: self._rows, state.carry))
        if not self._compiled:  # a step leaves the state where it was
            whole = NamedSharding(self.mesh, PartitionSpec())
            self._compiled = jax.jit(self._step, donate_argnums=0, out_shardings=(places, whole))
        return jax.device_put(state, places, may_alias=False)  # its buffers are donated

    def place_batch(self, batch: Batch) -> Batch:
        return jax.device_put(batch, self._rows)

    def __call__(self, state: TrainState, batch: Batch) -> tuple[TrainState, dict[str, jax.Array]]:
        return self._compiled(state, batch)

    def compiled(self, state: TrainState, batch: Batch) -> jax.stages.Compiled:
        """The program that makes a step of a state and a batch which are on the devices."""
        return self._compiled.lower(state, batch).compile()

    def described(self) -> str:
        sizes = "" if len(self.mesh.shape) == 1 else f" as {dict(self.mesh.shape)}"
        return described_devices(self.mesh.devices.flat) + sizes

    def on_devices(self, tree: Any) -> Any:
        """The parameters as a model takes them, where they are; gone with the next step."""
        return tree

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
        return described_devices(self._devices)

    def on_devices(self, tree: Any) -> Any:
        """The parameters as a model takes them, where they are."""
        return jax.tree.map(lambda leaf: leaf[0], tree)

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


Execution = JitExecution | PmapExecution
