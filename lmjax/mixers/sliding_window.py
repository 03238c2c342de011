"""Attention to the last `window` tokens (Beltagy et al. 2020, section 3.1), with a ring of them.

`step` and `parallel` are those of `lmjax.mixers.attention`; what is visible is this file's.
"""

import flax.struct
import jax
import jax.numpy as jnp

from lmjax.errors import UserError
from lmjax.mixers.attention import Attention
from lmjax.nn.segments import segment_starts


@flax.struct.dataclass
class KeyValueRing:
    """The keys and values of the last W tokens; the newest takes the place of the oldest."""

    k_BWHK: jax.Array
    v_BWHK: jax.Array
    next_B: jax.Array  # int32, the slot that is written next
    seen_B: jax.Array  # int32, slots that hold tokens of the current segment, at most W
    segment_id_B: jax.Array  # int32


class SlidingWindowAttention(Attention):
    """Each token attends to itself and the `window - 1` before it, within its segment.

    Raises UserError for a window below 1, or a width that the heads don't divide.
    """

    window: int = 128

    is_endless = True

    def __post_init__(self):
        super().__post_init__()
        if self.window < 1:
            raise UserError(f"the window of sliding_window is {self.window}; it is at least 1")

    def initial_carry(self, batch_size: int, max_length: int) -> KeyValueRing:
        shape = batch_size, self.window, self.heads, self._head_width
        zeros_B = jnp.zeros(batch_size, jnp.int32)
        return KeyValueRing(jnp.zeros(shape), jnp.zeros(shape), zeros_B, zeros_B, zeros_B)

    def _attend(self, q_BTHK, k_BTHK, v_BTHK, carry, segment_ids_BT, bias, drop):
        """`y_BTHK, carry`: over the ring's tokens, oldest first, and the T new ones."""
        length, before = q_BTHK.shape[1], 0
        k_BSHK, v_BSHK = k_BTHK, v_BTHK
        if carry is not None:
            before = self.window
            k_BSHK = jnp.concatenate([_in_order(carry.k_BWHK, carry, k_BTHK.dtype), k_BTHK], axis=1)
            v_BSHK = jnp.concatenate([_in_order(carry.v_BWHK, carry, v_BTHK.dtype), v_BTHK], axis=1)
        index_BT = before + jnp.arange(length)[None]
        start_BT = self._starts(index_BT, segment_ids_BT, carry)
        first_BT = jnp.maximum(start_BT, index_BT - (self.window - 1))[..., None]
        slot_S = jnp.arange(before + length)[None, None]
        visible_BTS = (first_BT <= slot_S) & (slot_S <= index_BT[..., None])
        y_BTHK = self._read(q_BTHK, k_BSHK, v_BSHK, visible_BTS, index_BT, bias, drop)
        if carry is None:
            return y_BTHK, None
        return y_BTHK, self._remember(carry, k_BTHK, v_BTHK, start_BT, segment_ids_BT)

    def _starts(self, index_BT, segment_ids_BT, carry):
        """`start_BT`, where each token's segment begins among the ring's tokens and the new."""
        if carry is None:
            zero_BT = jnp.zeros((1, 1), jnp.int32)
            return zero_BT if segment_ids_BT is None else segment_starts(index_BT, segment_ids_BT)
        start_B = self.window - carry.seen_B
        if segment_ids_BT is None:
            return start_B[:, None]
        index_BT = jnp.broadcast_to(index_BT, segment_ids_BT.shape)
        return segment_starts(index_BT, segment_ids_BT, (carry.segment_id_B, start_B))

    def _remember(self, carry, k_BTHK, v_BTHK, start_BT, segment_ids_BT) -> KeyValueRing:
        rows, length = k_BTHK.shape[:2]
        kept = min(length, self.window)  # a slot is written at most once
        slot_BT = (carry.next_B[:, None] + jnp.arange(length - kept, length)[None]) % self.window
        slots = jnp.arange(rows)[:, None], slot_BT
        seen_B = jnp.minimum(self.window + length - start_BT[:, -1], self.window)
        return KeyValueRing(
            k_BWHK=carry.k_BWHK.at[slots].set(k_BTHK[:, -kept:].astype(carry.k_BWHK.dtype)),
            v_BWHK=carry.v_BWHK.at[slots].set(v_BTHK[:, -kept:].astype(carry.v_BWHK.dtype)),
            next_B=(carry.next_B + length) % self.window,
            seen_B=seen_B,
            segment_id_B=carry.segment_id_B if segment_ids_BT is None else segment_ids_BT[:, -1],
        )


def _in_order(ring_BWHK: jax.Array, carry: KeyValueRing, dtype: jnp.dtype) -> jax.Array:
    """What a ring holds, from the oldest to the newest."""
    window = ring_BWHK.shape[1]
    slot_BW = (carry.next_B[:, None] + jnp.arange(window)[None]) % window
    return jnp.take_along_axis(ring_BWHK, slot_BW[..., None, None], axis=1).astype(dtype)
