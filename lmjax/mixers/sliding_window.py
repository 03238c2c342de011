"""Attention to the last `window` tokens (Beltagy et al. 2020, section 3.1), with a ring of them.

Its forms are those of `lmjax.mixers.attention`; what is visible is this file's. Rows of many
windows are read in blocks, each of which sees itself and the one before, so that time grows with T
alone.
"""

import flax.struct
import jax
import jax.numpy as jnp

from lmjax.errors import UserError
from lmjax.mixers.attention import Attention
from lmjax.mixers.slots import visible
from lmjax.nn.segments import segment_starts


@flax.struct.dataclass
class KeyValueRing:
    """The keys and values of the last W tokens; the newest takes the place of the oldest."""

    k_BWGK: jax.Array
    v_BWGK: jax.Array
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
        shape = batch_size, self.window, self._key_value_heads, self._head_width
        zeros_B = jnp.zeros(batch_size, jnp.int32)
        return KeyValueRing(jnp.zeros(shape), jnp.zeros(shape), zeros_B, zeros_B, zeros_B)

    def _attend(self, q_BTHK, k_BTGK, v_BTGK, carry, segment_ids_BT, read):
        """`y_BTHK, carry`: over the ring's tokens, oldest first, and the T new ones."""
        length = q_BTHK.shape[1]
        in_blocks = self.form == "parallel" and length > 2 * self.window
        before = 0 if carry is None and not in_blocks else self.window
        past = self.initial_carry(len(q_BTHK), length) if carry is None else carry
        k_BSGK, v_BSGK = (
            jnp.concatenate([_in_order(ring_BWGK, past, new.dtype)[:, :before], new], axis=1)
            for ring_BWGK, new in ((past.k_BWGK, k_BTGK), (past.v_BWGK, v_BTGK))
        )
        index_BT = before + jnp.arange(length)[None]
        start_BT = self._starts(index_BT, segment_ids_BT, carry)
        first_BT = jnp.maximum(start_BT, index_BT - (self.window - 1))
        if in_blocks:
            y_BTHK = self._read_blocks(q_BTHK, k_BSGK, v_BSGK, first_BT, read)
        else:
            where = visible(index_BT, first_BT, k_BSGK.shape[1]), index_BT
            y_BTHK = read(q_BTHK, k_BSGK, v_BSGK, *where)
        if carry is None:
            return y_BTHK, None
        return y_BTHK, self._remember(carry, k_BTGK, v_BTGK, start_BT, segment_ids_BT)

    def _read_blocks(self, q_BTHK, k_BSGK, v_BSGK, first_BT, read):
        """`y_BTHK`; keys and values begin a window before the first query."""
        (rows, length), window = q_BTHK.shape[:2], self.window
        count = -(-length // window)

        def blocks(leaf):
            padding = [(0, 0), (0, -leaf.shape[1] % window)] + [(0, 0)] * (leaf.ndim - 2)
            return jnp.pad(leaf, padding).reshape(rows, -1, window, *leaf.shape[2:])

        def with_one_before(leaf):
            leaf = blocks(leaf)
            pairs = jnp.concatenate([leaf[:, :-1], leaf[:, 1:]], axis=2)
            return pairs.reshape(rows * count, 2 * window, *leaf.shape[3:])

        begin_N = window * jnp.arange(count)
        first_BT = blocks(jnp.broadcast_to(first_BT, (rows, length))) - begin_N[None, :, None]
        first_BT = first_BT.reshape(rows * count, window)
        index_BT = window + jnp.arange(window)[None]
        q_BTHK = blocks(q_BTHK).reshape(rows * count, window, *q_BTHK.shape[2:])
        memory = with_one_before(k_BSGK), with_one_before(v_BSGK)
        where = visible(index_BT, first_BT, 2 * window), index_BT
        y_BTHK = read(q_BTHK, *memory, *where)
        return y_BTHK.reshape(rows, count * window, *y_BTHK.shape[2:])[:, :length]

    def _starts(self, index_BT, segment_ids_BT, carry):
        """`start_BT`, where each token's segment begins among the ring's tokens and the new."""
        if carry is None and segment_ids_BT is None:
            return index_BT[:, :1]
        if carry is None:
            return segment_starts(index_BT, segment_ids_BT)
        start_B = self.window - carry.seen_B
        if segment_ids_BT is None:
            return start_B[:, None]
        index_BT = jnp.broadcast_to(index_BT, segment_ids_BT.shape)
        return segment_starts(index_BT, segment_ids_BT, (carry.segment_id_B, start_B))

    def _remember(self, carry, k_BTGK, v_BTGK, start_BT, segment_ids_BT) -> KeyValueRing:
        rows, length = k_BTGK.shape[:2]
        kept = min(length, self.window)  # a slot is written at most once
        slot_BT = (carry.next_B[:, None] + jnp.arange(length - kept, length)[None]) % self.window
        slots = jnp.arange(rows)[:, None], slot_BT
        seen_B = jnp.minimum(self.window + length - start_BT[:, -1], self.window)
        return KeyValueRing(
            k_BWGK=carry.k_BWGK.at[slots].set(k_BTGK[:, -kept:].astype(carry.k_BWGK.dtype)),
            v_BWGK=carry.v_BWGK.at[slots].set(v_BTGK[:, -kept:].astype(carry.v_BWGK.dtype)),
            next_B=(carry.next_B + length) % self.window,
            seen_B=seen_B,
            segment_id_B=carry.segment_id_B if segment_ids_BT is None else segment_ids_BT[:, -1],
        )


def _in_order(ring_BWGK: jax.Array, carry: KeyValueRing, dtype: jnp.dtype) -> jax.Array:
    """What a ring holds, from the oldest to the newest."""
    window = ring_BWGK.shape[1]
    slot_BW = (carry.next_B[:, None] + jnp.arange(window)[None]) % window
    return jnp.take_along_axis(ring_BWGK, slot_BW[..., None, None], axis=1).astype(dtype)
