"""Where the segments of a row begin."""

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
