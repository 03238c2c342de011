"""From the vectors of a text's tokens to one vector of the text.

Each function takes `x_BSD` and the places of the text, `is_of_text_BS`, and gives `pooled_BD` in
float32: zeros for a text without tokens. What stands at other places is not read.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer

from lmjax.nn.dense import Dense
from lmjax.nn.precision import wide
from lmjax.nn.softmax import HIDDEN


def mean_pool(x_BSD: jax.Array, is_of_text_BS: jax.Array) -> jax.Array:
    """The mean over all tokens."""
    return weighted_sum(x_BSD, is_of_text_BS) / _count(is_of_text_BS)


def max_pool(x_BSD: jax.Array, is_of_text_BS: jax.Array) -> jax.Array:
    """The largest number of each channel (Collobert et al. 2011)."""
    lowest = jnp.finfo(jnp.float32).min
    masked_BSD = jnp.where(is_of_text_BS[..., None], _wide(x_BSD), lowest)
    return jnp.where(is_of_text_BS.any(axis=1, keepdims=True), masked_BSD.max(axis=1), 0.0)


def first_pool(x_BSD: jax.Array, is_of_text_BS: jax.Array) -> jax.Array:
    """The first token's vector."""
    return _at(x_BSD, is_of_text_BS, jnp.argmax(is_of_text_BS, axis=1))


def last_pool(x_BSD: jax.Array, is_of_text_BS: jax.Array) -> jax.Array:
    """The last token's vector."""
    places_S = jnp.arange(x_BSD.shape[1])
    return _at(x_BSD, is_of_text_BS, jnp.where(is_of_text_BS, places_S[None], 0).max(axis=1))


class AttentionPooling(nn.Module):
    """A mean with weights softmax(v . W x), W and v being learned.

    Without a tanh around W x, which Yang et al. (2016, equations 5 to 7) have.
    """

    initializer: Initializer

    @nn.compact
    def __call__(self, x_BSD: jax.Array, is_of_text_BS: jax.Array) -> jax.Array:
        width = x_BSD.shape[-1]
        keys_BSD = Dense(width, ("embed", "hidden"), False, self.initializer, name="keys")(x_BSD)
        query = Dense(1, ("hidden", "classes"), False, self.initializer, True, name="query")
        scores_BS = jnp.where(is_of_text_BS, query(keys_BSD)[..., 0], HIDDEN)
        weights_BS = jax.nn.softmax(scores_BS, axis=1) * is_of_text_BS
        return weighted_sum(x_BSD, is_of_text_BS, weights_BS)


POOLINGS = {"mean": mean_pool, "max": max_pool, "first": first_pool, "last": last_pool}


def weighted_sum(
    x_BSD: jax.Array, is_of_text_BS: jax.Array, weights_BS: jax.Array | None = None
) -> jax.Array:
    """`sum_BD` over the tokens of the text, each times its weight, if there are any."""
    x_BSD = jnp.where(is_of_text_BS[..., None], _wide(x_BSD), 0.0)
    return (x_BSD if weights_BS is None else x_BSD * weights_BS[..., None]).sum(axis=1)


def _count(is_of_text_BS: jax.Array) -> jax.Array:
    return jnp.maximum(is_of_text_BS.sum(axis=1, keepdims=True), 1)


def _at(x_BSD: jax.Array, is_of_text_BS: jax.Array, place_B: jax.Array) -> jax.Array:
    x_BD = _wide(jnp.take_along_axis(x_BSD, place_B[:, None, None], axis=1)[:, 0])
    return jnp.where(is_of_text_BS.any(axis=1, keepdims=True), x_BD, 0.0)


def _wide(x: jax.Array) -> jax.Array:
    return x.astype(wide(x.dtype))
