"""Causal multi-head attention, with a cache of keys and values (Vaswani et al. 2017, section 3.2).

Its forms are `step` and `parallel` of `lmjax.mixers.dot_product_attention`.
"""

from collections.abc import Callable
from functools import partial

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer

from lmjax.errors import UserError, nearest
from lmjax.mixers.contract import Mixer
from lmjax.mixers.dot_product_attention import parallel, step
from lmjax.mixers.forms import by_steps, in_chunks
from lmjax.mixers.slots import remember, visible, without_memory
from lmjax.nn import rotary
from lmjax.nn.dense import Dense
from lmjax.nn.dropout import Dropout, dropout_in_a_loop
from lmjax.nn.norms import EPSILON, RMSNorm
from lmjax.nn.position_bias import Alibi, PositionBias, RelativePosition
from lmjax.nn.positions import OF_SCORES

Bias = Callable[[jax.Array], jax.Array]  # of distances
MOST_PARTS = 4  # of a long row, each of which is compiled by itself


@flax.struct.dataclass
class KeyValueCache:
    """S slots a row, filled in order. A token sees those of its segment, up to its own.

    A head's slots stand together: on CPU a query is 10 times faster to score against them so.
    """

    k_BGSK: jax.Array
    v_BGSK: jax.Array
    length_B: jax.Array  # int32, slots filled
    segment_start_B: jax.Array  # int32, the slot where the current segment began
    segment_id_B: jax.Array  # int32


def empty_cache(batch_size: int, slots: int, heads: int, head_width: int) -> KeyValueCache:
    """A cache of `slots` tokens a row, none of them filled."""
    k_BGSK = jnp.zeros((batch_size, heads, slots, head_width))
    zeros_B = jnp.zeros(batch_size, jnp.int32)
    return KeyValueCache(k_BGSK, k_BGSK, zeros_B, zeros_B, zeros_B)


class Attention(Mixer):
    """Each token attends to those before it in its segment, and to itself.

    Keys are cached as they are read: normalised and turned. Raises UserError for a width that the
    heads don't divide, unless their own width is given, and for options that make no sense.
    """

    heads: int
    bias: bool
    dropout: float  # on the attention weights
    initializer: Initializer
    output_initializer: Initializer
    norm_epsilon: float = EPSILON  # added to the mean square
    key_value_heads: int = 0  # G, each read by heads / G (Ainslie et al. 2023); 0: heads
    head_width: int = 0  # K; 0: width / heads
    scaled: bool = True  # scores are divided by sqrt(K); else queries are drawn that much smaller
    query_key_norm: bool = False  # RMS norms of each head's queries and keys (Gemma 3)
    score_cap: float = 0.0  # bounds scores by cap tanh(score / cap) (Gemma 2); 0: no bound
    output_gate: bool = False  # a sigmoid on each number of y (Qiu et al. 2025; Qwen3-Next)
    sinks: bool = False  # one more term of each head's softmax, learned (GPT-OSS)
    position: str = "none"  # none | rotary | alibi | relative
    rotary_base: float = rotary.BASE
    rotary_share: float = 1.0  # of a head's numbers that are turned, the first ones
    rotary_scaling: str = "none"  # none | linear | ntk | yarn | llama3
    rotary_factor: float = 1.0  # how many times longer the context is than in training
    rotary_trained_length: int = 0  # yarn, llama3: tokens of the context in training
    position_buckets: int = 32  # relative: of distances, a number for each head and layer
    position_farthest: int = 128  # relative: tokens; from here on all distances are one
    chunk: int = 512  # queries of longer rows that are scored at once; sets memory, not results

    is_endless = False

    def __post_init__(self):
        super().__post_init__()
        width_of_head(self.width, self.heads, self.head_width)
        groups = self._key_value_heads
        if groups < 1 or self.heads % groups:
            raise UserError(
                f"heads {self.heads} of attention are not a multiple of key_value_heads {groups}; "
                "change one of them"
            )
        if self.position not in ("none", *OF_SCORES):
            hint = nearest(self.position, ("none", *OF_SCORES))
            raise UserError(f"unknown position {self.position!r} of attention: {hint}")
        if self.position == "rotary":
            self._frequency_N()
        if self.score_cap < 0:
            raise UserError(f"score_cap is {self.score_cap}; give 0 for no bound")
        if self.chunk < 1:
            raise UserError(f"the chunk of attention is {self.chunk}; it is at least 1")
        if self.form == "step" and self.dropout:
            raise UserError("the form 'step' of attention has no dropout; set model.dropout=0")

    @property
    def _head_width(self) -> int:
        return width_of_head(self.width, self.heads, self.head_width)

    @property
    def _key_value_heads(self) -> int:
        return self.key_value_heads or self.heads

    def _frequency_N(self):
        if not 0 < self.rotary_share <= 1:
            raise UserError(f"rotary_share is {self.rotary_share}; it is above 0 and at most 1")
        scaling = self.rotary_scaling, self.rotary_factor, self.rotary_trained_length
        turned = int(self._head_width * self.rotary_share)
        return rotary.frequencies(turned, self.rotary_base, *scaling)

    def initial_carry(self, batch_size: int, max_length: int) -> KeyValueCache:
        return empty_cache(batch_size, max_length, self._key_value_heads, self._head_width)

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
        """`y_BTD, carry`; y is NaN for a token that finds no free slot in the carry.

        `bias` is added to the scores, in place of one of this layer's own.
        """
        rows, length, width = x_BTD.shape
        heads, groups, head_width = self.heads, self._key_value_heads, self._head_width
        inner = heads * head_width
        initializer = query_initializer(self.initializer, inner, head_width, self.scaled)
        features = inner + 2 * groups * head_width
        project = Dense(features, ("embed", "heads"), self.bias, initializer, name="qkv")
        qkv = project(x_BTD).reshape(rows, length, heads + 2 * groups, head_width)
        q_BTHK, k_BTGK, v_BTGK = jnp.split(qkv, [heads, heads + groups], axis=2)
        if self.query_key_norm:
            q_BTHK, k_BTGK = self._normalised("query", q_BTHK), self._normalised("key", k_BTGK)
        if self.position == "rotary":
            angle_BTN = rotary.turned_by(positions_BT, self._frequency_N())
            size = rotary.size(self.rotary_scaling, self.rotary_factor)
            q_BTHK, k_BTGK = (rotary.rotate(x, angle_BTN, size) for x in (q_BTHK, k_BTGK))
        read = partial(
            self._read,
            bias=self._position_bias() if bias is None else bias,
            sink_H=self._sink_H(),
            deterministic=deterministic,
        )
        y_BTHK, carry = self._attend(q_BTHK, k_BTGK, v_BTGK, carry, segment_ids_BT, read)
        y_BTE = y_BTHK.reshape(rows, length, inner)
        if self.output_gate:
            gate = Dense(inner, ("embed", "heads"), self.bias, self.initializer, name="gate")
            y_BTE *= nn.sigmoid(gate(x_BTD))
        output = Dense(width, ("heads", "embed"), self.bias, self.output_initializer, name="output")
        return output(y_BTE), carry

    def _normalised(self, name, x_BTHK):
        norm = RMSNorm(epsilon=self.norm_epsilon, name=f"{name}_norm")
        return norm(x_BTHK.reshape(len(x_BTHK), -1, x_BTHK.shape[-1])).reshape(x_BTHK.shape)

    def _position_bias(self) -> Bias | None:
        if self.position == "alibi":
            return Alibi(self.heads)
        if self.position == "relative":
            sizes = self.heads, self.position_buckets, self.position_farthest
            return RelativePosition(*sizes, False, self.initializer, name="position_bias")()
        return None

    def _attend(self, q_BTHK, k_BTGK, v_BTGK, carry, segment_ids_BT, read):
        """`y_BTHK, carry`; a kind of attention of its own overrides it. `read` is `_read`."""
        if carry is None:
            return self._read_row(q_BTHK, k_BTGK, v_BTGK, segment_ids_BT, read), None
        new = {"k_BGSK": k_BTGK, "v_BGSK": v_BTGK}
        carry, index_BT, start_BT = remember(carry, new, segment_ids_BT, heads_lead=True)
        k_BSGK, v_BSGK = (
            cache.astype(q_BTHK.dtype).swapaxes(1, 2) for cache in (carry.k_BGSK, carry.v_BGSK)
        )
        slots = k_BSGK.shape[1]
        where = visible(index_BT, start_BT, slots), index_BT
        y_BTHK = read(q_BTHK, k_BSGK, v_BSGK, *where)
        return jnp.where(index_BT[..., None, None] < slots, y_BTHK, jnp.nan), carry

    def _read_row(self, q_BTHK, k_BTGK, v_BTGK, segment_ids_BT, read):
        """`y_BTHK` of a whole row, in parts, of which each leaves out the keys behind it."""
        length = q_BTHK.shape[1]
        index_BT, start_BT = without_memory(length, segment_ids_BT)
        start_BT = jnp.broadcast_to(start_BT, (len(start_BT), length))
        size = self.chunk * -(-length // (MOST_PARTS * self.chunk))
        found = []
        for begin in range(0, length, size):
            end = min(begin + size, length)
            now_BT = index_BT[:, begin:end]
            where = visible(now_BT, start_BT[:, begin:end], end), now_BT
            memory = k_BTGK[:, :end], v_BTGK[:, :end]
            found.append(read(q_BTHK[:, begin:end], *memory, *where, is_part=size < length))
        return jnp.concatenate(found, axis=1)

    def _read(
        self,
        q_BTHK,
        k_BSGK,
        v_BSGK,
        visible_BTS,
        index_BT,
        *,
        bias,
        sink_H,
        deterministic,
        is_part=False,
    ):
        """`y_BTHK` of tokens that stand at `index_BT` of the S slots.

        Of a part of a row, as of chunks, the backward pass computes scores anew.
        """
        kind = dict(sink_H=sink_H, scaled=self.scaled, cap=self.score_cap)
        memory = k_BSGK, v_BSGK

        def bias_of(index_BT):
            if bias is None:
                return None
            return bias(jnp.arange(k_BSGK.shape[1])[None, None] - index_BT[..., None])

        if self.form == "step":

            def one(state, q_BHK, visible_BS, index_B):
                bias_BHTS = bias_of(index_B[:, None])
                bias_BHS = None if bias is None else bias_BHTS[:, :, 0]
                return step(q_BHK, *memory, visible_BS, bias_BHS, **kind), state

            return by_steps(one, None, q_BTHK, visible_BTS, index_BT)[0].astype(q_BTHK.dtype)
        length = q_BTHK.shape[1]
        if length <= self.chunk and not is_part:
            drop = Dropout(self.dropout, deterministic=deterministic)
            return parallel(q_BTHK, *memory, visible_BTS, drop, bias_of(index_BT), **kind)

        dropout = dropout_in_a_loop(self, self.dropout, deterministic)

        def some(state, q_BTHK, visible_BTS, index_BT, time_BT):
            drop = partial(dropout, time=time_BT[0, 0])
            where = visible_BTS, drop, bias_of(index_BT)
            return parallel(q_BTHK, *memory, *where, **kind), state

        queries = q_BTHK, visible_BTS, index_BT, jnp.arange(length)[None]
        if length <= self.chunk:
            return jax.checkpoint(some)(None, *queries)[0]
        return in_chunks(some, self.chunk, None, *queries)[0]

    def _sink_H(self) -> jax.Array | None:
        if not self.sinks:
            return None
        zeros = nn.with_logical_partitioning(nn.initializers.zeros, ("heads",))
        return self.param("sink", zeros, (self.heads,))


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
