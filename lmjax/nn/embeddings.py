"""From tokens to vectors and, where the weights are tied, back to logits."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer

from lmjax.nn.precision import wide_product


class TokenEmbedding(nn.Module):
    """A table of `vocabulary_size` vectors of `width`, its entries drawn by `initializer`.

    `axis` is the logical name of what there is a vector for.
    """

    vocabulary_size: int
    width: int
    initializer: Initializer = jax.nn.initializers.normal(0.02)
    axis: str = "vocab"

    def setup(self):
        self.table_VD = self.param(
            "embedding",
            nn.with_logical_partitioning(self.initializer, (self.axis, "embed")),
            (self.vocabulary_size, self.width),
        )

    def __call__(self, tokens_BT: jax.Array) -> jax.Array:
        """`x_BTD`, the vector of each token."""
        return jnp.take(self.table_VD, tokens_BT, axis=0, mode="clip")

    def attend(self, x_BTD: jax.Array) -> jax.Array:
        """`logits_BTV`, float32: the product with each token's vector (Press and Wolf 2017)."""
        x_ND = x_BTD.reshape(-1, self.width)
        table_DV = self.table_VD.T.astype(x_BTD.dtype)
        logits_NV = wide_product(x_ND, table_DV)
        return logits_NV.reshape(*x_BTD.shape[:-1], self.vocabulary_size)
