"""A memory of S slots a row, filled in order, one for each token: what is kept, who sees it.

It is a dataclass with `length_B`, `segment_start_B` and `segment_id_B`, beside arrays of slots.
"""

from collections.abc import Mapping
from typing import TypeVar

import jax
import jax.numpy as jnp

from lmjax.nn.segments import segment_starts

Cache = TypeVar("Cache")


def without_memory(length: int, segment_ids_BT: jax.Array | None) -> tuple[jax.Array, jax.Array]:
    """`index_BT, start_BT` of T = `length` tokens that see each other alone."""
    index_BT, start_BT = jnp.arange(length)[None], jnp.zeros((1, 1), jnp.int32)
    if segment_ids_BT is not None:
        start_BT = segment_starts(index_BT, segment_ids_BT)
    return index_BT, start_BT


def remember(
    cache: Cache,
    new: Mapping[str, jax.Array],
    segment_ids_BT: jax.Array | None,
    heads_lead: bool = False,
) -> tuple[Cache, jax.Array, jax.Array]:
    """`cache, index_BT, start_BT`: each new token's slot, and that where its segment begins.

    `new` holds, by field of the cache, what T tokens put into its slots: arrays that lead with BT
    for such that lead with BS, or with `heads_lead` BTG for BGS. What finds no free slot is not
    written.
    """
    rows, length = next(iter(new.values())).shape[:2]
    index_BT = cache.length_B[:, None] + jnp.arange(length)[None]
    if segment_ids_BT is None:
        segment_id_B, start_B = cache.segment_id_B, cache.segment_start_B
        start_BT = start_B[:, None]
    else:
        before_B = cache.segment_id_B, cache.segment_start_B
        start_BT = segment_starts(index_BT, segment_ids_BT, before_B)
        segment_id_B, start_B = segment_ids_BT[:, -1], start_BT[:, -1]
    row_B1 = jnp.arange(rows)[:, None]

    def written(name, entry):
        slots = getattr(cache, name)
        places = row_B1, index_BT
        if heads_lead:  # each is a place of its own: XLA copies all slots to write into one place
            places = row_B1[..., None], jnp.arange(slots.shape[1])[None, None], index_BT[..., None]
        return slots.at[places].set(entry.astype(slots.dtype), mode="drop")

    cache = cache.replace(
        **{name: written(name, entry) for name, entry in new.items()},
        length_B=cache.length_B + length,
        segment_start_B=start_B,
        segment_id_B=segment_id_B,
    )
    return cache, index_BT, start_BT


def visible(index_BT: jax.Array, start_BT: jax.Array, slots: int) -> jax.Array:
    """`visible_BTS`: the slots from where a token's segment begins up to its own."""
    slot_S = jnp.arange(slots)[None, None]
    return (start_BT[..., None] <= slot_S) & (slot_S <= index_BT[..., None])
