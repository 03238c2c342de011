"""Causal multi-head attention, with a cache of keys and values (Vaswani et al. 2017, section 3.2).

`step` is the definition, for one token; `parallel` is the same for many tokens at once.
"""

from collections.abc import Callable

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer

from lmjax.errors import UserError
from lmjax.mixers.contract import Mixer
from lmjax.mixers.forms import by_steps
from lmjax.mixers.slots import remember, visible, without_memory
from lmjax.nn.dense import Dense
from lmjax.nn.dropout import Dropout
from lmjax.nn.position_bias import PositionBias
from lmjax.nn.precision import wide, wide_product
from lmjax.nn.softmax import HIDDEN


@flax.struct.dataclass
class KeyValueCache:
    """S slots a row, filled in order. A token sees those of its segment, up to its own."""

    k_BSHK: jax.Array
    v_BSHK: jax.Array
    length_B: jax.Array  # int32, slots filled
    segment_start_B: jax.Array  # int32, the slot where the current segment began
    segment_id_B: jax.Array  # int32


def empty_cache(batch_size: int, slots: int, heads: int, head_width: int) -> KeyValueCache:
    """A cache of `slots` tokens a row, none of them filled."""
    k_BSHK = jnp.zeros((batch_size, slots, heads, head_width))
    zeros_B = jnp.zeros(batch_size, jnp.int32)
    return KeyValueCache(k_BSHK, k_BSHK, zeros_B, zeros_B, zeros_B)


def step(
    q_BHK: jax.Array,
    k_BSHK: jax.Array,
    v_BSHK: jax.Array,
    visible_BS: jax.Array,
    bias_BHS: jax.Array | None = None,
    scaled: bool = True,
) -> jax.Array:
    """`y_BHK = softmax(q k / sqrt(K) + bias) v` over the visible slots (equation 1)."""
    q_BHK, k_BSHK, v_BSHK = (leaf.astype(wide(leaf.dtype)) for leaf in (q_BHK, k_BSHK, v_BSHK))
    scores_BHS = jnp.einsum("bhk,bshk->bhs", q_BHK, k_BSHK)
    if scaled:
        scores_BHS /= jnp.sqrt(q_BHK.shape[-1])
    if bias_BHS is not None:
        scores_BHS += bias_BHS
    weights_BHS = jax.nn.softmax(jnp.where(visible_BS[:, None, :], scores_BHS, HIDDEN))
    return jnp.einsum("bhs,bshk->bhk", weights_BHS, v_BSHK)


def parallel(
    q_BTHK: jax.Array,
    k_BSHK: jax.Array,
    v_BSHK: jax.Array,
    visible_BTS: jax.Array,
    drop: Callable[[jax.Array], jax.Array] = lambda weights_BHTS: weights_BHTS,
    bias_BHTS: jax.Array | None = None,
    scaled: bool = True,
) -> jax.Array:
    """`y_BTHK`: `step` for each of T tokens, with `drop` applied to the attention weights.

    `bias_BHTS` is added to the scores, which without `scaled` are not divided by sqrt(K); it and
    `visible_BTS` may lead with 1 in place of B. A token that sees no slot gets a meaningless y.
    """
    # Batched products over (B, H) with keys transposed first: faster on CPU than einsum's order.
    q_BHTK = q_BTHK.transpose(0, 2, 1, 3)
    if scaled:
        q_BHTK *= q_BTHK.shape[-1] ** -0.5
    k_BHKS = k_BSHK.transpose(0, 2, 3, 1)
    scores_BHTS = wide_product(q_BHTK, k_BHKS)
    if bias_BHTS is not None:
        scores_BHTS += bias_BHTS
    weights_BHTS = drop(jax.nn.softmax(jnp.where(visible_BTS[:, None], scores_BHTS, HIDDEN)))
    y_BHTK = weights_BHTS.astype(v_BSHK.dtype) @ v_BSHK.transpose(0, 2, 1, 3)
    return y_BHTK.transpose(0, 2, 1, 3)


class Attention(Mixer):
    """Each token attends to those before it in its segment, and to itself.

    Raises UserError for a width that the heads don't divide, unless their own width is given.
    """

    heads: int
    bias: bool
    dropout: float  # on the attention weights
    initializer: Initializer
    output_initializer: Initializer
    head_width: int = 0  # K; 0: width / heads
    scaled: bool = True  # scores are divided by sqrt(K); else queries are drawn that much smaller

    is_endless = False

    def __post_init__(self):
        super().__post_init__()
        width_of_head(self.width, self.heads, self.head_width)
        if self.form == "step" and self.dropout:
            raise UserError("the form 'step' of attention has no dropout; set model.dropout=0")

    @property
    def _head_width(self) -> int:
        return width_of_head(self.width, self.heads, self.head_width)

    def initial_carry(self, batch_size: int, max_length: int) -> KeyValueCache:
        return empty_cache(batch_size, max_length, self.heads, self._head_width)

    @nn.compact
    def __call__(
        self,
        x_BTD: jax.Array,
        carry: KeyValueCache | None,
        positions_BT: jax.Array,
        segment_ids_BT: jax.Array | None,
        deterministic: bool,
        bias: PositionBias | None = None,
    ) -> tuple[jax.Array, KeyValueCache | None]:
        """`y_BTD, carry`; y is NaN for a token that finds no free slot in the carry."""
        rows, length, width = x_BTD.shape
        inner = self.heads * self._head_width
        heads = rows, length, 3 * self.heads, self._head_width
        initializer = query_initializer(self.initializer, inner, self._head_width, self.scaled)
        project = Dense(3 * inner, ("embed", "heads"), self.bias, initializer, name="qkv")
        qkv = jnp.split(project(x_BTD).reshape(heads), 3, axis=2)
        drop = Dropout(self.dropout, deterministic=deterministic)
        y_BTHK, carry = self._attend(*qkv, carry, segment_ids_BT, bias, drop)
        output = Dense(width, ("heads", "embed"), self.bias, self.output_initializer, name="output")
        return output(y_BTHK.reshape(rows, length, inner)), carry

    def _attend(self, q_BTHK, k_BTHK, v_BTHK, carry, segment_ids_BT, bias, drop):
        """`y_BTHK, carry`; a kind of attention of its own overrides it."""
        length = q_BTHK.shape[1]
        if carry is None:
            index_BT, start_BT = without_memory(length, segment_ids_BT)
            visible_BTS = visible(index_BT, start_BT, length)
            return self._read(q_BTHK, k_BTHK, v_BTHK, visible_BTS, index_BT, bias, drop), None
        new = {"k_BSHK": k_BTHK, "v_BSHK": v_BTHK}
        carry, index_BT, start_BT = remember(carry, new, segment_ids_BT)
        k_BSHK, v_BSHK = (cache.astype(q_BTHK.dtype) for cache in (carry.k_BSHK, carry.v_BSHK))
        slots = k_BSHK.shape[1]
        visible_BTS = visible(index_BT, start_BT, slots)
        y_BTHK = self._read(q_BTHK, k_BSHK, v_BSHK, visible_BTS, index_BT, bias, drop)
        return jnp.where(index_BT[..., None, None] < slots, y_BTHK, jnp.nan), carry

    def _read(self, q_BTHK, k_BSHK, v_BSHK, visible_BTS, index_BT, bias, drop):
        """`y_BTHK` of tokens that stand at `index_BT` of the S slots."""
        bias_BHTS = None
        if bias is not None:
            bias_BHTS = bias(jnp.arange(k_BSHK.shape[1])[None, None] - index_BT[..., None])
        if self.form == "parallel":
            return parallel(q_BTHK, k_BSHK, v_BSHK, visible_BTS, drop, bias_BHTS, self.scaled)

        def one(state, q_BHK, visible_BS, bias_BHS):
            return step(q_BHK, k_BSHK, v_BSHK, visible_BS, bias_BHS, self.scaled), state

        bias_BTHS = None if bias_BHTS is None else bias_BHTS.swapaxes(1, 2)
        return by_steps(one, None, q_BTHK, visible_BTS, bias_BTHS)[0].astype(q_BTHK.dtype)


def width_of_head(width: int, heads: int, head_width: int) -> int:
    """`head_width`, or where it is 0, `width / heads`; raises UserError if that is no number."""
    if head_width < 0:
        raise UserError(f"model.head_width is {head_width}; give 0 for model.width / model.heads")
    if heads < 1 or (not head_width and width % heads):
        raise UserError(
            f"model.width {width} is not a multiple of model.heads {heads}; change one of them"
        )
    return head_width or width // heads


def query_initializer(
    initializer: Initializer, inner: int, head_width: int, scaled: bool
) -> Initializer:
    """Draws a kernel whose first `inner` columns make queries.

    Where scores are not `scaled`, they are drawn smaller, so that scores begin as if they were.
    """
    if scaled:
        return initializer

    def initialize(key, shape_DF, dtype=jnp.float32):
        kernel_DF = initializer(key, shape_DF, dtype)
        return kernel_DF.at[:, :inner].multiply(head_width**-0.5)

    return initialize
