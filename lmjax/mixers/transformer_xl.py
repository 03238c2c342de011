"""Transformer-XL: attention by relative positions to a memory of hidden states (Dai et al. 2019).

S = `memory` + 1 are the tokens that one token sees: itself and those before it, the oldest first.
"""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jax.nn.initializers import Initializer

from lmjax.errors import UserError
from lmjax.mixers.attention import width_of_head
from lmjax.mixers.contract import Mixer
from lmjax.mixers.forms import in_chunks
from lmjax.nn.dense import Dense, product
from lmjax.nn.dropout import dropout_in_a_loop
from lmjax.nn.positions import sinusoids
from lmjax.nn.precision import wide_product
from lmjax.nn.skew import skew
from lmjax.nn.softmax import HIDDEN


def step(memory_BMD, x_BD, position_B, *, query_DHK, key_DHK, value_DHK, distant_SHK, u_HK, v_HK):
    """`y_BHK, memory_BMD` after one token, the first of its segment at position 0.

    The score of the token at distance d is `((q + u) k + (q + v) r_d) / sqrt(K)` (section 3.3, the
    four terms; scaled as in the authors' code), with `r_d` = `distant_SHK`, the last at d = 0.
    """
    h_BSD = jnp.concatenate([memory_BMD, x_BD[:, None].astype(memory_BMD.dtype)], axis=1)
    q_BHK = jnp.einsum("bd,dhk->bhk", h_BSD[:, -1], query_DHK)
    k_BSHK = jnp.einsum("bsd,dhk->bshk", h_BSD, key_DHK)
    v_BSHK = jnp.einsum("bsd,dhk->bshk", h_BSD, value_DHK)
    scores_BHS = jnp.einsum("bhk,bshk->bhs", q_BHK + u_HK[None], k_BSHK)
    scores_BHS += jnp.einsum("bhk,shk->bhs", q_BHK + v_HK[None], distant_SHK)
    scores_BHS /= jnp.sqrt(q_BHK.shape[-1])
    distance_S = jnp.arange(h_BSD.shape[1])[::-1]
    visible_BS = distance_S[None] <= position_B[:, None]
    weights_BHS = jax.nn.softmax(jnp.where(visible_BS[:, None], scores_BHS, HIDDEN))
    return jnp.einsum("bhs,bshk->bhk", weights_BHS, v_BSHK), h_BSD[:, 1:]


def parallel(
    memory_BMD,
    x_BTD,
    position_BT,
    time_BT,
    *,
    query_DHK,
    key_DHK,
    value_DHK,
    distant_SHK,
    u_HK,
    v_HK,
    drop=lambda weights_BHTN, time: weights_BHTN,
):
    """`y_BTHK, memory_BMD`: `step` for each of T tokens, which see N = M + T at distances of M.

    `time_BT` counts the tokens from 1; at 0 there is none. `drop` is applied to the weights, given
    the first time.
    """
    h_BND = jnp.concatenate([memory_BMD.astype(x_BTD.dtype), x_BTD], axis=1)
    q_BHTK, k_BHNK, v_BHNK = (
        _project(leaf, kernel_DHK).transpose(0, 2, 1, 3)
        for leaf, kernel_DHK in ((x_BTD, query_DHK), (h_BND, key_DHK), (h_BND, value_DHK))
    )
    with_u_BHTK, with_v_BHTK = (
        (q_BHTK + bias_HK[None, :, None]).astype(x_BTD.dtype) for bias_HK in (u_HK, v_HK)
    )
    distant_HKS = distant_SHK.transpose(1, 2, 0).astype(x_BTD.dtype)
    distant_BHKS = jnp.broadcast_to(distant_HKS[None], (len(x_BTD), *distant_HKS.shape))
    scores_BHTN = wide_product(with_u_BHTK, k_BHNK.swapaxes(2, 3))
    scores_BHTN += skew(wide_product(with_v_BHTK, distant_BHKS))
    scores_BHTN *= q_BHTK.shape[-1] ** -0.5
    length, before = x_BTD.shape[1], memory_BMD.shape[1]
    distance_TN = before + jnp.arange(length)[:, None] - jnp.arange(before + length)[None]
    farthest_BT1 = jnp.minimum(position_BT, before)[..., None]
    visible_BTN = (distance_TN[None] >= 0) & (distance_TN[None] <= farthest_BT1)
    weights_BHTN = jax.nn.softmax(jnp.where(visible_BTN[:, None], scores_BHTN, HIDDEN))
    weights_BHTN = drop(weights_BHTN, time_BT[0, 0])
    y_BHTK = weights_BHTN.astype(v_BHNK.dtype) @ v_BHNK
    read = jnp.sum(time_BT[0] > 0)
    all_BND = jnp.concatenate([memory_BMD, x_BTD.astype(memory_BMD.dtype)], axis=1)
    memory_BMD = lax.dynamic_slice_in_dim(all_BND, read, before, axis=1)
    return y_BHTK.transpose(0, 2, 1, 3), memory_BMD


class TransformerXL(Mixer):
    """Each token attends to itself and the `memory` tokens before it, within its segment.

    The carry is what those were before they were read, into which no gradient goes: within a call
    gradients go everywhere, from one call to the next they don't. All tokens see equally many
    others, in training, too (`same_length` in the authors' code); theirs by default see the whole
    memory and all before them in the call. Queries, keys and values have no biases but u and v,
    which each layer has for itself. No parameter depends on `memory`: a trained model may be read
    with another. Raises UserError for a width that the heads don't divide, and sizes below 1.
    """

    heads: int
    dropout: float  # on the attention weights
    bias: bool  # of the output
    initializer: Initializer
    output_initializer: Initializer
    memory: int = 128  # tokens
    farthest: int = 0  # distances beyond it are read as it, for longer memories; 0: as they are
    head_width: int = 0  # K; 0: width / heads
    chunk: int = 512  # tokens of longer rows that are read at a time; sets memory, not results

    def __post_init__(self):
        super().__post_init__()
        width_of_head(self.width, self.heads, self.head_width)
        for field, least in (("memory", 1), ("chunk", 1), ("farthest", 0)):
            if getattr(self, field) < least:
                raise UserError(
                    f"{field} of transformer_xl is {getattr(self, field)}; it is at least {least}"
                )
        if self.form == "step" and self.dropout:
            raise UserError("the form 'step' of attention has no dropout; set model.dropout=0")

    def initial_carry(self, batch_size: int, max_length: int) -> jax.Array:
        return jnp.zeros((batch_size, self.memory, self.width))

    @nn.compact
    def __call__(
        self,
        x_BTD: jax.Array,
        carry: jax.Array | None,
        positions_BT: jax.Array,
        segment_ids_BT: jax.Array | None,
        deterministic: bool,
    ) -> tuple[jax.Array, jax.Array | None]:
        """`y_BTD, carry`; positions say what is visible."""
        rows, length, width = x_BTD.shape
        time_BT = jnp.broadcast_to(1 + jnp.arange(length)[None], (rows, length))
        memory_BMD = self.initial_carry(rows, length)
        if carry is None:
            positions_BT = jnp.minimum(positions_BT, time_BT - 1)  # nothing is there before
        else:
            memory_BMD = lax.stop_gradient(carry)
        positions_BT = jnp.broadcast_to(positions_BT, (rows, length))
        y_BTHK, memory_BMD = self._attend(memory_BMD, x_BTD, positions_BT, time_BT, deterministic)
        y_BTE = y_BTHK.reshape(rows, length, -1).astype(x_BTD.dtype)
        output = Dense(width, ("heads", "embed"), self.bias, self.output_initializer, name="output")
        return output(y_BTE), None if carry is None else memory_BMD

    def _attend(self, memory_BMD, x_BTD, positions_BT, time_BT, deterministic):
        weights = self._weights()

        def one(memory_BMD, x_BD, position_B, _):
            return step(memory_BMD, x_BD, position_B, **weights)

        inputs = x_BTD, positions_BT, time_BT
        many = partial(parallel, **weights)
        if self.form == "parallel" and not deterministic:
            many = partial(many, drop=dropout_in_a_loop(self, self.dropout, deterministic))
            return in_chunks(many, self.chunk, memory_BMD, *inputs)
        return self.run(one, partial(in_chunks, many, self.chunk), memory_BMD, *inputs)

    def _weights(self) -> dict[str, jax.Array]:
        """What is the same for each token: kernels, both biases, and r of each distance."""
        heads = self.heads, width_of_head(self.width, self.heads, self.head_width)
        distance_S = jnp.arange(self.memory, -1, -1)
        if self.farthest:
            distance_S = jnp.minimum(distance_S, self.farthest)
        r_SD = sinusoids(distance_S[None], self.width)[0]
        distant_SHK = jnp.einsum("sd,dhk->shk", r_SD, self._kernel("position", heads))
        initializer = nn.with_logical_partitioning(self.initializer, ("heads", None))
        return dict(
            query_DHK=self._kernel("query", heads),
            key_DHK=self._kernel("key", heads),
            value_DHK=self._kernel("value", heads),
            distant_SHK=distant_SHK,
            u_HK=self.param("content_bias", initializer, heads),
            v_HK=self.param("position_bias", initializer, heads),
        )

    def _kernel(self, name: str, heads: tuple[int, int]) -> jax.Array:
        initializer = nn.with_logical_partitioning(self.initializer, ("embed", "heads"))
        kernel_DE = self.param(f"{name}_kernel", initializer, (self.width, heads[0] * heads[1]))
        return kernel_DE.reshape(self.width, *heads)


def _project(x_BTD: jax.Array, kernel_DHK: jax.Array) -> jax.Array:
    """`y_BTHK`, by one product of two matrices."""
    width, *heads = kernel_DHK.shape
    y_NE = product(x_BTD.reshape(-1, width), kernel_DHK.reshape(width, -1).astype(x_BTD.dtype))
    return y_NE.astype(x_BTD.dtype).reshape(*x_BTD.shape[:2], *heads)
