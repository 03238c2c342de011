"""Attention of a recurrent network over the last S of its own outputs, strictly before its present.

Scores are those of Bahdanau et al. (2015), Luong et al. (2015) and Daniluk et al. (2017).
"""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jax.nn.initializers import Initializer

from lmjax.errors import UserError, nearest
from lmjax.mixers.contract import Mixer
from lmjax.mixers.scores import Score, additive, dot, weigh
from lmjax.nn.broadcast import for_each_row
from lmjax.nn.dense import Dense
from lmjax.nn.skew import skew

SCORES = ("additive", "dot", "general", "key_value_predict")


def head_width(score: str, width: int) -> int:
    """K, the width of keys and of the mixer's output, for a network of that `width`.

    Raises UserError for an unknown score, or a width that does not split into three.
    """
    if score not in SCORES:
        raise UserError(f"unknown model.score {score!r}: {nearest(score, SCORES)}")
    if score != "key_value_predict":
        return width
    if width % 3:
        raise UserError(
            f"key_value_predict splits the width in three, and {width} does not divide; "
            f"set model.width={width - width % 3 or 3}"
        )
    return width // 3


def memory_width(score: str, width: int) -> int:
    """What is remembered of each output: all, or its key and value."""
    return width if score != "key_value_predict" else 2 * head_width(score, width)


def step(
    score: Score,
    query_BK: jax.Array,
    keys_BSK: jax.Array,
    values_BSK: jax.Array,
    visible_BS: jax.Array,
) -> jax.Array:
    """`context_BK`, values weighted by the softmax of visible scores; zeros if none is."""
    weights_BS = weigh(score(query_BK[:, None, :], keys_BSK), visible_BS)
    return jnp.einsum("bs,bsk->bk", weights_BS, values_BSK)


def parallel(
    score: Score,
    query_BTK: jax.Array,
    keys_BNK: jax.Array,
    values_BNK: jax.Array,
    visible_BTS: jax.Array,
) -> jax.Array:
    """`context_BTK`: `step` for each of T tokens, whose S slots are keys t, t + 1, ...

    Of the N keys and values the first S stood before the first token, and the others are its own
    and those of the tokens after it.
    """
    slots = visible_BTS.shape[-1]
    length = query_BTK.shape[1]

    def score_slot(slot):
        return score(query_BTK, lax.dynamic_slice_in_dim(keys_BNK, slot, length, axis=1))

    scores_SBT = lax.map(score_slot, jnp.arange(slots))
    weights_BTS = weigh(jnp.moveaxis(scores_SBT, 0, -1), visible_BTS)
    return skew(weights_BTS) @ values_BNK[:, :-1]  # the last one is that of no past token


class PastAttention(Mixer, kw_only=True):
    """What the last `span` outputs of a recurrent network hold, joined to its present one.

    y is as wide as `head_width` of the score says. The carry is a memory of those outputs, of which
    those of the present segment are visible.
    """

    score: str
    span: int
    initializer: Initializer

    def initial_carry(self, batch_size: int, max_length: int) -> jax.Array:
        return jnp.zeros((batch_size, self.span, memory_width(self.score, self.width)))

    @nn.compact
    def __call__(
        self,
        x_BTD: jax.Array,
        carry: jax.Array | None,
        positions_BT: jax.Array,
        segment_ids_BT: jax.Array | None,
        deterministic: bool,
    ) -> tuple[jax.Array, jax.Array | None]:
        """`y_BTK, carry`; positions say what is visible.

        `y = tanh(W [context; x])` (Luong et al. 2015, equation 5; Daniluk et al. 2017, section 2).
        """
        rows, length, width = x_BTD.shape
        key_width = head_width(self.score, width)
        past_BSM = self.initial_carry(rows, length) if carry is None else carry
        memory_BNM = jnp.concatenate([past_BSM, x_BTD[..., : past_BSM.shape[-1]]], axis=1)
        keys_BNK, values_BNK = memory_BNM[..., :key_width], memory_BNM[..., -key_width:]
        query_BTK, predict_BTK = x_BTD[..., :key_width], x_BTD[..., -key_width:]
        score = dot
        if self.score != "dot":
            query_BTK = self._dense("query", key_width)(query_BTK)
        if self.score in ("additive", "key_value_predict"):
            keys_BNK = self._dense("key", key_width)(keys_BNK)
            initializer = nn.with_logical_partitioning(self.initializer, ("hidden",))
            weights_K = self.param("score", initializer, (key_width,))
            score = partial(additive, for_each_row(weights_K[:, None], rows))
        distance_S = self.span - jnp.arange(self.span)
        visible_BTS = positions_BT[:, :, None] >= distance_S[None, None, :]
        context_BTK = parallel(score, query_BTK, keys_BNK, values_BNK, visible_BTS)
        both_BTD = jnp.concatenate([context_BTK, predict_BTK], axis=-1)
        y_BTK = jnp.tanh(self._dense("output", key_width)(both_BTD))
        return y_BTK, None if carry is None else memory_BNM[:, length:]

    def _dense(self, name: str, features: int) -> Dense:
        return Dense(features, ("embed", "hidden"), initializer=self.initializer, name=name)
