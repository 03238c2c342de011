"""The mesh of devices that `config.execution` describes, and where in it each parameter lies."""

from collections.abc import Iterable
from math import prod
from typing import Any

import flax.linen as nn
import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from lmjax.errors import UserError, nearest
from lmjax.runs.devices import most_devices

ROW_AXES = ("data", "fsdp")  # over which the rows of a batch are spread
AXES = (*ROW_AXES, "tensor")
REST = -1  # as a size: as many devices as there are and the rows allow
# From which on spreading rows over a CPU's cores costs more time than it saves: measured on two of
# them, from 1,000 parameters a token (a gain of 12 %) to 28,000 (a loss of 15 %).
PARAMETERS_A_TOKEN = 2800


def most_rest(devices: list[jax.Device], parameters: int, tokens: int) -> int:
    """How many devices the rest may be, for a step with so many tokens.

    CPU devices share the cores, which products of matrices are threaded over anyway. So rows are
    spread over them only where there are many beside the gradients that are then to be summed.
    """
    if devices[0].platform == "cpu" and parameters > PARAMETERS_A_TOKEN * tokens:
        return 1
    return len(devices)


def mesh_sizes(
    entries: Iterable[str], rows: int, available: int, most: int | None = None
) -> dict[str, int]:
    """The sizes of the axes in `entries`, such as `data=-1` and `fsdp=2`.

    `most` are the devices of `data`, where that is the rest.

    Raises UserError for an axis that is unknown, a size that is none, or more devices than there
    are or than the rows of a batch can be spread over.
    """
    sizes = {}
    for axis, text in _pairs("execution.mesh", entries):
        _check_axis("execution.mesh", axis)
        try:
            sizes[axis] = int(text)
        except ValueError:
            sizes[axis] = 0
        if sizes[axis] < 1 and sizes[axis] != REST:
            raise UserError(f"execution.mesh: {axis}={text} is no size; give 1 or more, or {REST}")
    rest = [axis for axis, size in sizes.items() if size == REST]
    if len(rest) > 1:
        raise UserError(f"execution.mesh: only one axis can be {REST}, not {' and '.join(rest)}")
    fixed = prod(size for size in sizes.values() if size != REST)
    fixed_rows = prod(sizes[axis] for axis in ROW_AXES if sizes.get(axis, REST) != REST)
    if fixed > available:
        raise UserError(f"execution.mesh needs {fixed} devices, and there are {available}")
    if rows % fixed_rows:
        raise UserError(
            f"execution.mesh spreads rows over {fixed_rows} devices, and {rows} rows (of a "
            "micro-batch) are no multiple of that; change data.batch_size or the mesh"
        )
    for axis in rest:
        left = available // fixed
        if axis == "data" and most:
            left = min(left, most)
        sizes[axis] = most_devices(rows // fixed_rows, left) if axis in ROW_AXES else left
    return sizes


def make_mesh(sizes: dict[str, int], devices: list[jax.Device]) -> Mesh:
    """The mesh of these axes over the first of the devices."""
    return jax.make_mesh(
        tuple(sizes.values()),
        tuple(sizes),
        axis_types=(AxisType.Auto,) * len(sizes),
        devices=devices[: prod(sizes.values())],
    )


def parsed_rules(entries: Iterable[str]) -> dict[str, str]:
    """Of each logical axis, such as `mlp=tensor`, the axis of the mesh that it is cut along."""
    rules = dict(_pairs("execution.rules", entries))
    for axis in rules.values():
        _check_axis("execution.rules", axis)
    return rules


def rows_layout(mesh: Mesh) -> NamedSharding:
    """Of arrays that lead with the rows of a batch."""
    return NamedSharding(mesh, PartitionSpec(tuple(a for a in ROW_AXES if a in mesh.shape)))


def layout(mesh: Mesh, rules: dict[str, str], named: Any) -> Any:
    """Where each array of an abstract tree lies, whose leaves are boxed with their axes' names.

    An array is cut along each axis of the mesh at most once, where that divides its dimension; all
    others are whole on every device.
    """

    def place(spec: PartitionSpec, leaf: jax.ShapeDtypeStruct) -> NamedSharding:
        axes: list[str | None] = []
        for name, size in zip(spec, leaf.shape, strict=False):
            axis = rules.get(name)
            cut = axis in mesh.shape and axis not in axes and size % mesh.shape[axis] == 0
            axes.append(axis if cut else None)
        return NamedSharding(mesh, PartitionSpec(*axes))

    specs = nn.get_partition_spec(named)
    return jax.tree.map(
        place, specs, nn.meta.unbox(named), is_leaf=lambda leaf: isinstance(leaf, PartitionSpec)
    )


def _pairs(field: str, entries: Iterable[str]) -> list[tuple[str, str]]:
    pairs = [tuple(part.strip() for part in entry.split("=")) for entry in entries]
    if any(len(pair) != 2 for pair in pairs) or isinstance(entries, str):
        raise UserError(f"{field} is {entries!r}; give a tuple of texts such as 'fsdp=2'")
    if len(dict(pairs)) < len(pairs):
        raise UserError(f"{field} names an axis twice: {', '.join(entries)}")
    return pairs


def _check_axis(field: str, axis: str) -> None:
    if axis not in AXES:
        raise UserError(f"{field}: the mesh has no axis {axis!r}: {nearest(axis, AXES)}")
