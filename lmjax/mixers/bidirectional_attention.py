"""Attention of each token to all of its segment (Vaswani et al. 2017; Devlin et al. 2019).

Its forms are those of `lmjax.mixers.attention`; what is visible is this file's.
"""

import jax
import jax.numpy as jnp

from lmjax.mixers.attention import Attention


class BidirectionalAttention(Attention):
    """Each token attends to those before and after it in its segment, and to itself.

    For encoders, which read a text as a whole: it is not causal, and its carry is always None.
    Padding is a segment of its own, see `padding_apart`.
    """

    def initial_carry(self, batch_size: int, max_length: int) -> None:
        return None

    def _attend(self, q_BTHK, k_BTGK, v_BTGK, carry, segment_ids_BT, read):
        index_BT = jnp.arange(q_BTHK.shape[1])[None]
        if segment_ids_BT is None:
            visible_BTS = jnp.ones((1, *index_BT.shape), bool)
        else:
            visible_BTS = segment_ids_BT[:, :, None] == segment_ids_BT[:, None, :]
        return read(q_BTHK, k_BTGK, v_BTGK, visible_BTS, index_BT), None


def padding_apart(weights_BT: jax.Array) -> jax.Array:
    """`segment_ids_BT` of a text in each row, 0, and its padding of weight 0, which is 1."""
    return (weights_BT == 0).astype(jnp.int32)
