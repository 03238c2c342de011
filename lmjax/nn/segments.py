"""Where the segments of a row begin."""

from typing import Any

import jax
import jax.numpy as jnp


def segment_starts(
    index_BT: jax.Array,
    segment_ids_BT: jax.Array,
    before_B: tuple[jax.Array, jax.Array] | None = None,
) -> jax.Array:
    """`start_BT`: the index of the first token of each token's segment.

    `index_BT` grows by one from token to token; `before_B` is the segment id of the token before
    the first one and the index where that segment began. Without it, the first token begins one.
    """
    changed_BT = segment_ids_BT[:, 1:] != segment_ids_BT[:, :-1]
    if before_B is None:
        first_B, start_B = jnp.ones_like(segment_ids_BT[:, 0], bool), index_BT[:, 0]
    else:
        segment_id_B, start_B = before_B
        first_B = segment_ids_BT[:, 0] != segment_id_B
    begins_BT = jnp.concatenate([first_B[:, None], changed_BT], axis=1)
    return jax.lax.cummax(jnp.where(begins_BT, index_BT, start_B[:, None]), axis=1)


def derive_positions(length: int, carry: Any | None, segment_ids_BT: jax.Array | None) -> jax.Array:
    """`positions_BT`: tokens since the segment began; leads with 1 where all rows agree.

    A carry has its rows' next `position_B` and last `segment_id_B`.
    """
    time_BT = jnp.arange(length)[None]
    if carry is not None:
        time_BT += carry.position_B[:, None]
    if segment_ids_BT is None:
        return time_BT
    before_B = None if carry is None else (carry.segment_id_B, jnp.zeros_like(carry.position_B))
    return time_BT - segment_starts(time_BT, segment_ids_BT, before_B)
