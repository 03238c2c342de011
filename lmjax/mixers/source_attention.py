"""Attention of a recurrent decoder over what an encoder gave of each token of the source."""

from typing import NamedTuple

import flax.linen as nn
import jax
from jax import lax
from jax.nn.initializers import Initializer

from lmjax.mixers.loop import Matrices, Multiply
from lmjax.mixers.scores import additive, weigh
from lmjax.nn.broadcast import for_each_row
from lmjax.nn.dense import Dense

MULTIPLICATIVE = ("dot", "general")  # scores that are a product with the keys
SCORES = ("additive", "concat", *MULTIPLICATIVE)


class Memory(NamedTuple):
    """What is attended to; keys are BSK, or BKS for a score that is a product with them."""

    keys: jax.Array
    values_BSE: jax.Array
    visible_BS: jax.Array


class Fixed(NamedTuple):
    """What of the attention is the same at each time, beside matrices."""

    keys_BSK: jax.Array | None
    weights_BK1: jax.Array | None
    visible_BS: jax.Array


class SourceAttention(nn.Module):
    """The mean of what was encoded, weighted by the softmax of scores with a query of `width`.

    `additive` and `concat` are one function of query and keys, `w . tanh(W q + U k)` (Bahdanau et
    al. 2015, appendix A.1.2; Luong et al. 2015, equation 8); `general` is `q . W k`, `dot` `q . k`.
    """

    score: str
    width: int
    initializer: Initializer

    def setup(self):
        if self.score != "dot":
            self.key = Dense(self.width, ("embed", "hidden"), initializer=self.initializer)
        if self.score not in MULTIPLICATIVE:
            self.query_kernel_DK = self._parameter("query_kernel", ("embed", "hidden"))
            self.weights_K = self._parameter("score", ("hidden",))

    def _parameter(self, name: str, axes: tuple[str, ...]) -> jax.Array:
        initializer = nn.with_logical_partitioning(self.initializer, axes)
        return self.param(name, initializer, (self.width,) * len(axes))

    def remember(self, encoded_BSE: jax.Array, visible_BS: jax.Array) -> Memory:
        """What is computed once of a source whose tokens are visible, or padding."""
        keys = encoded_BSE if self.score == "dot" else self.key(encoded_BSE)
        if self.score in MULTIPLICATIVE:
            keys = keys.swapaxes(1, 2)
        return Memory(keys, encoded_BSE, visible_BS)

    def arguments(self, memory: Memory) -> tuple[Matrices, Fixed]:
        """Those of `step`: what it multiplies by, and what else is the same at each time."""
        if self.score in MULTIPLICATIVE:
            matrices = {"keys": memory.keys, "values": memory.values_BSE}
            return matrices, Fixed(None, None, memory.visible_BS)
        matrices = {"query": self.query_kernel_DK, "values": memory.values_BSE}
        return matrices, Fixed(memory.keys, self.weights_K[None, :, None], memory.visible_BS)

    def __call__(self, query_BTD: jax.Array, memory: Memory) -> tuple[jax.Array, jax.Array]:
        """`context_BTE, weights_BTS`: `step` for all of T queries at once."""
        if self.score in MULTIPLICATIVE:
            scores_BTS = query_BTD @ memory.keys
        else:
            rows, length, width = query_BTD.shape
            query_NK = query_BTD.reshape(-1, width) @ self.query_kernel_DK
            weights_BK1 = for_each_row(self.weights_K[:, None], rows)
            scores_TBS = lax.map(
                lambda query_BK: additive(weights_BK1, query_BK[:, None], memory.keys),
                query_NK.reshape(rows, length, width).swapaxes(0, 1),
            )
            scores_BTS = scores_TBS.swapaxes(0, 1)
        weights_BTS = weigh(scores_BTS, memory.visible_BS[:, None])
        return weights_BTS @ memory.values_BSE, weights_BTS


def step(multiply: Multiply, fixed: Fixed, query_BD: jax.Array) -> tuple[jax.Array, jax.Array]:
    """`context_BE, weights_BS`; zeros if nothing is visible."""
    if fixed.keys_BSK is None:
        scores_BS = multiply("keys", query_BD)
    else:
        query_BK = multiply("query", query_BD)
        scores_BS = additive(fixed.weights_BK1, query_BK[:, None], fixed.keys_BSK)
    weights_BS = weigh(scores_BS, fixed.visible_BS)
    return multiply("values", weights_BS), weights_BS
