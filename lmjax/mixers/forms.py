"""The forms of a mixer: by steps, which is its definition, and in parallel, which is as fast.

`y, state = step(state, *inputs)` reads one token: arrays that lead with B. A parallel form reads T
of them: `y, state`, and inputs that lead with B and T. None may stand in place of an input.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

FORMS = ("parallel", "step")
Form = Callable[..., tuple[Any, Any]]


def by_steps(step: Form, state: Any, *inputs: Any) -> tuple[Any, Any]:
    """`y, state` after T tokens, read one by one."""

    def one(state, now):
        y, state = step(state, *now)
        return state, y

    state, y = lax.scan(one, state, _swapped(inputs))
    return _swapped(y), state


def in_chunks(parallel: Form, size: int, state: Any, *inputs: Any) -> tuple[Any, Any]:
    """`y, state` after T tokens, `size` of which are read at a time, the last ones with padding.

    So memory and time grow with T alone, whatever they are within a chunk; the backward pass
    computes anew what a chunk holds. Padding is zeros, by which no state may change.
    """
    length = jax.tree.leaves(inputs)[0].shape[1]
    if length <= size:
        return parallel(state, *inputs)
    count = -(-length // size)

    def split(leaf):
        widths = [(0, 0)] * leaf.ndim
        widths[1] = (0, count * size - length)
        padded = jnp.pad(leaf, widths)
        return padded.reshape(leaf.shape[0], count, size, *leaf.shape[2:]).swapaxes(0, 1)

    @partial(jax.checkpoint, prevent_cse=False)
    def one(state, chunk):
        y, state = parallel(state, *chunk)
        return state, y

    state, y = lax.scan(one, state, jax.tree.map(split, inputs))

    def join(leaf):
        leaf = leaf.swapaxes(0, 1)
        return leaf.reshape(leaf.shape[0], count * size, *leaf.shape[3:])[:, :length]

    return jax.tree.map(join, y), state


def segment_begins(
    positions_BT: jax.Array, segment_ids_BT: jax.Array | None, rows: int
) -> jax.Array:
    """`begins_BT`: whether a token is the first of its segment, before which all is forgotten."""
    if segment_ids_BT is None:
        return jnp.zeros((rows, positions_BT.shape[1]), bool)
    return jnp.broadcast_to(positions_BT == 0, segment_ids_BT.shape)


def same_segment(begins_BT: jax.Array) -> jax.Array:
    """`same_BTS`: whether token s is in the segment of token t and does not come after it."""
    count_BT = jnp.cumsum(begins_BT, axis=1)
    same_BTS = count_BT[:, :, None] == count_BT[:, None, :]
    return same_BTS & jnp.tri(begins_BT.shape[1], dtype=bool)[None]


def in_first_segment(begins_BT: jax.Array) -> jax.Array:
    """`first_BT`: whether no segment has begun up to token t, so that it sees the state before."""
    return jnp.cumsum(begins_BT, axis=1) == 0


def in_last_segment(begins_BT: jax.Array) -> jax.Array:
    """`last_BT`: whether no segment begins after token t, so that the state after has it."""
    count_BT = jnp.cumsum(begins_BT, axis=1)
    return count_BT == count_BT[:, -1:]


def _swapped(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf.swapaxes(0, 1), tree)
