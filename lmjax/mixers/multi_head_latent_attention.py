"""Multi-head latent attention: keys and values are products of one narrow vector of each token, and
that alone is remembered, with one rotary key for all heads (DeepSeek-AI 2024, DeepSeek-V2, 2.1).

M is the width of the latent vector, R that of the rotary part, K that of a head without it; values
may have another.
"""

from collections.abc import Callable
from functools import partial

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer

from lmjax.errors import UserError
from lmjax.mixers import dot_product_attention
from lmjax.mixers.attention import width_of_head
from lmjax.mixers.contract import Mixer
from lmjax.mixers.forms import by_steps, in_chunks
from lmjax.mixers.slots import remember, visible, without_memory
from lmjax.nn.dense import Dense, product
from lmjax.nn.dropout import dropout_in_a_loop
from lmjax.nn.norms import RMSNorm
from lmjax.nn.precision import wide
from lmjax.nn.rotary import BASE, angles, rotate
from lmjax.nn.softmax import HIDDEN

EPSILON = 1e-6  # of the norms of what is compressed, as in the authors' code


@flax.struct.dataclass
class LatentCache:
    """S slots a row, filled in order: what keys and values are made of."""

    latent_BSM: jax.Array
    rotary_BSR: jax.Array  # turned by its position
    length_B: jax.Array  # int32, slots filled
    segment_start_B: jax.Array  # int32, the slot where the current segment began
    segment_id_B: jax.Array  # int32


def step(q_BHK, turned_BHR, latent_BSM, rotary_BSR, visible_BS, *, key_MHK, value_MHK):
    """`y_BHK = softmax((q k + turned rotary) / sqrt(K + R)) v` over the visible slots.

    Keys `k = latent key` and values `v = latent value` are never formed: the query goes to the
    latent's width instead, and what is read of it comes back (equations 9 to 18; that `key` is
    absorbed into the query and `value` into the output: section 2.1.2).
    """
    dtype = wide(q_BHK.dtype)
    q_BHK, turned_BHR, latent_BSM, rotary_BSR = (
        leaf.astype(dtype) for leaf in (q_BHK, turned_BHR, latent_BSM, rotary_BSR)
    )
    sought_BHM = jnp.einsum("bhk,mhk->bhm", q_BHK, key_MHK)
    scores_BHS = jnp.einsum("bhm,bsm->bhs", sought_BHM, latent_BSM)
    scores_BHS += jnp.einsum("bhr,bsr->bhs", turned_BHR, rotary_BSR)
    scores_BHS /= jnp.sqrt(q_BHK.shape[-1] + turned_BHR.shape[-1])
    weights_BHS = jax.nn.softmax(jnp.where(visible_BS[:, None, :], scores_BHS, HIDDEN))
    found_BHM = jnp.einsum("bhs,bsm->bhm", weights_BHS, latent_BSM)
    return jnp.einsum("bhm,mhk->bhk", found_BHM, value_MHK)


def parallel(
    q_BTHK: jax.Array,
    turned_BTHR: jax.Array,
    both_BSHK: jax.Array,
    v_BSHK: jax.Array,
    visible_BTS: jax.Array,
    drop: Callable[[jax.Array], jax.Array] = lambda weights_BHTS: weights_BHTS,
) -> jax.Array:
    """`y_BTHK`: `step` for each of T tokens, by attention to what `keys_and_values` gave."""
    both_BTHK = jnp.concatenate([q_BTHK, turned_BTHR], axis=-1)
    return dot_product_attention.parallel(both_BTHK, both_BSHK, v_BSHK, visible_BTS, drop)


def keys_and_values(latent_BSM, rotary_BSR, *, key_MHK, value_MHK):
    """`both_BSHK, v_BSHK`: each head's keys followed by the rotary part, and values."""
    rows, slots, inner = latent_BSM.shape

    def of_heads(kernel_MHK):
        kernel_MD = kernel_MHK.reshape(inner, -1).astype(latent_BSM.dtype)
        y_ND = product(latent_BSM.reshape(-1, inner), kernel_MD).astype(latent_BSM.dtype)
        return y_ND.reshape(rows, slots, *kernel_MHK.shape[1:])

    k_BSHK = of_heads(key_MHK)
    shape = rows, slots, k_BSHK.shape[2], rotary_BSR.shape[-1]
    shared_BSHR = jnp.broadcast_to(rotary_BSR[:, :, None], shape)
    return jnp.concatenate([k_BSHK, shared_BSHR], axis=-1), of_heads(value_MHK)


class MultiHeadLatentAttention(Mixer):
    """Queries and what keys and values are made of are compressed, each normed (section 3.1.2).

    Where widths are 0, they stand to each other as in DeepSeek-V2. Order is told by the rotary part
    alone, whatever `model.position` is. Raises UserError for widths that can't be.
    """

    heads: int
    bias: bool  # of the compressions and the output
    dropout: float  # on the attention weights
    initializer: Initializer
    output_initializer: Initializer
    head_width: int = 0  # K, of queries and keys without the rotary part; 0: width / heads
    rotary_width: int = 0  # R, even; 0: half of K
    value_width: int = 0  # of a head; 0: K
    latent_width: int = 0  # M; 0: four times K
    query_rank: int = 0  # to which queries are compressed; 0: they are not (as in DeepSeek-V2-Lite)
    rotary_base: float = BASE
    chunk: int = 512  # queries of longer rows that are scored at once; sets memory, not results

    is_endless = False

    def __post_init__(self):
        super().__post_init__()
        width_of_head(self.width, self.heads, self.head_width)
        for field in ("rotary_width", "value_width", "latent_width", "query_rank"):
            if getattr(self, field) < 0:
                raise UserError(
                    f"{field} of multi_head_latent_attention is {getattr(self, field)}; give 0 for "
                    "what follows from the head's width, or more"
                )
        if self._rotary_width % 2 or self._rotary_width == 0:
            raise UserError(
                f"the rotary part of multi_head_latent_attention is {self._rotary_width} wide, and "
                "its numbers are turned in pairs; set rotary_width to an even number"
            )
        if self.rotary_base <= 1:
            raise UserError(f"the rotary_base is {self.rotary_base}; it is above 1")
        if self.chunk < 1:
            raise UserError(f"the chunk is {self.chunk}; it is at least 1")
        if self.form == "step" and self.dropout:
            raise UserError("the form 'step' of attention has no dropout; set model.dropout=0")

    @property
    def _head_width(self) -> int:
        return width_of_head(self.width, self.heads, self.head_width)

    @property
    def _rotary_width(self) -> int:
        return self.rotary_width or self._head_width // 2

    @property
    def _latent_width(self) -> int:
        return self.latent_width or 4 * self._head_width

    def initial_carry(self, batch_size: int, max_length: int) -> LatentCache:
        zeros_B = jnp.zeros(batch_size, jnp.int32)
        latent_BSM = jnp.zeros((batch_size, max_length, self._latent_width))
        rotary_BSR = jnp.zeros((batch_size, max_length, self._rotary_width))
        return LatentCache(latent_BSM, rotary_BSR, zeros_B, zeros_B, zeros_B)

    @nn.compact
    def __call__(
        self,
        x_BTD: jax.Array,
        carry: LatentCache | None,
        positions_BT: jax.Array,
        segment_ids_BT: jax.Array | None,
        deterministic: bool,
    ) -> tuple[jax.Array, LatentCache | None]:
        """`y_BTD, carry`; y is NaN for a token that finds no free slot in the carry."""
        rows, length, width = x_BTD.shape
        angle_BTN = angles(positions_BT, self._rotary_width, self.rotary_base)
        q_BTHK, turned_BTHR = self._queries(x_BTD, angle_BTN)
        compress = self._dense("compression", self._latent_width + self._rotary_width, self.bias)
        latent_BTM, rotary_BTR = jnp.split(compress(x_BTD), [self._latent_width], axis=-1)
        latent_BTM = RMSNorm(epsilon=EPSILON, name="latent_norm")(latent_BTM)
        rotary_BTR = rotate(rotary_BTR[:, :, None], angle_BTN)[:, :, 0]
        slots, memory = length, (latent_BTM, rotary_BTR)
        if carry is None:
            index_BT, start_BT = without_memory(length, segment_ids_BT)
        else:
            new = {"latent_BSM": latent_BTM, "rotary_BSR": rotary_BTR}
            carry, index_BT, start_BT = remember(carry, new, segment_ids_BT)
            slots = carry.latent_BSM.shape[1]
            memory = (leaf.astype(x_BTD.dtype) for leaf in (carry.latent_BSM, carry.rotary_BSR))
        visible_BTS = visible(index_BT, start_BT, slots)
        y_BTHK = self._read(q_BTHK, turned_BTHR, *memory, visible_BTS, deterministic)
        y_BTHK = jnp.where(index_BT[..., None, None] < slots, y_BTHK, jnp.nan)
        output = Dense(width, ("heads", "embed"), self.bias, self.output_initializer, name="output")
        return output(y_BTHK.reshape(rows, length, -1)), carry

    def _queries(self, x_BTD, angle_BTN):
        """`q_BTHK, turned_BTHR`: without positions, and the rotary part."""
        if self.query_rank:
            x_BTD = self._dense("query_compression", self.query_rank, self.bias)(x_BTD)
            x_BTD = RMSNorm(epsilon=EPSILON, name="query_norm")(x_BTD)
        head = self._head_width + self._rotary_width
        axes = ("hidden" if self.query_rank else "embed"), "heads"
        project = Dense(self.heads * head, axes, False, self.initializer, name="query")
        both_BTHK = project(x_BTD).reshape(*x_BTD.shape[:2], self.heads, head)
        q_BTHK, rotary_BTHR = jnp.split(both_BTHK, [self._head_width], axis=-1)
        return q_BTHK, rotate(rotary_BTHR, angle_BTN)

    def _read(self, q_BTHK, turned_BTHR, latent_BSM, rotary_BSR, visible_BTS, deterministic):
        """`y_BTHK` of the memory's S tokens."""
        kernels = dict(
            key_MHK=self._kernel("key", self._head_width),
            value_MHK=self._kernel("value", self.value_width or self._head_width),
        )
        memory, length = (latent_BSM, rotary_BSR), q_BTHK.shape[1]
        if self.form == "step" or (length == 1 and deterministic):
            read = partial(step, **kernels)

            def one(state, q_BHK, turned_BHR, visible_BS):
                return read(q_BHK, turned_BHR, *memory, visible_BS), state

            return by_steps(one, None, q_BTHK, turned_BTHR, visible_BTS)[0].astype(q_BTHK.dtype)
        dropout = dropout_in_a_loop(self, self.dropout, deterministic)
        k_BSHK, v_BSHK = keys_and_values(*memory, **kernels)

        def some(state, q_BTHK, turned_BTHR, visible_BTS, time_BT):
            drop = partial(dropout, time=time_BT[0, 0])
            return parallel(q_BTHK, turned_BTHR, k_BSHK, v_BSHK, visible_BTS, drop), state

        queries = q_BTHK, turned_BTHR, visible_BTS, jnp.arange(length)[None]
        return in_chunks(some, self.chunk, None, *queries)[0]

    def _kernel(self, name: str, head_width: int) -> jax.Array:
        initializer = nn.with_logical_partitioning(self.initializer, ("hidden", "heads"))
        shape = self._latent_width, self.heads * head_width
        kernel_MD = self.param(f"{name}_kernel", initializer, shape)
        return kernel_MD.reshape(self._latent_width, self.heads, head_width)

    def _dense(self, name: str, features: int, bias: bool) -> Dense:
        return Dense(features, ("embed", "hidden"), bias, self.initializer, name=name)
