"""Rows of tokens in chunks, of which one is worked on at a time, so that little is held."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax


def split(size: int, *arrays_BT: Any) -> Any:
    """The arrays with a dimension of chunks before them, each about `size` tokens of all rows.

    A chunk holds some times of every row, at least one, so that rows may be spread over devices;
    0: all are one chunk. The last one is padded with zeros.
    """
    rows, length = jax.tree.leaves(arrays_BT)[0].shape[:2]
    times = min(length, max(1, size // rows)) if size else length
    count = -(-length // times)
    times = -(-length // count)  # as even as can be, so that little is padded

    def cut(leaf):
        widths = [(0, 0)] * leaf.ndim
        widths[1] = (0, count * times - length)
        padded = jnp.pad(leaf, widths)
        return padded.reshape(rows, count, times, *leaf.shape[2:]).swapaxes(0, 1)

    return jax.tree.map(cut, arrays_BT)


def join(chunks: jax.Array, length: int) -> jax.Array:
    """The rows, of `length` tokens, that `split` cut."""
    chunks = chunks.swapaxes(0, 1)
    return chunks.reshape(chunks.shape[0], -1, *chunks.shape[3:])[:, :length]


def by_chunks(function: Callable[..., jax.Array], size: int, *arrays_BT: jax.Array) -> jax.Array:
    """`function(*arrays_BT)`, a chunk at a time; the backward pass computes anew what one holds."""
    length = arrays_BT[0].shape[1]
    chunks = split(size, *arrays_BT)
    if len(chunks[0]) == 1:
        return function(*arrays_BT)

    @partial(jax.checkpoint, prevent_cse=False)
    def one(nothing, chunk):
        return nothing, function(*chunk)

    return join(lax.scan(one, None, chunks)[1], length)
