"""How well what is sought matches each of the keys, and the weights that follow from it.

Scores are those of Bahdanau et al. (2015) and Luong et al. (2015).
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from lmjax.nn.softmax import HIDDEN

Score = Callable[[jax.Array, jax.Array], jax.Array]  # of queries and keys that end in K


def additive(weights_BK1: jax.Array, query: jax.Array, keys: jax.Array) -> jax.Array:
    """`w . tanh(q + k)`, with a w for each row (Bahdanau et al. 2015, appendix A.1.2)."""
    return (jnp.tanh(query + keys) @ weights_BK1)[..., 0]


def dot(query: jax.Array, keys: jax.Array) -> jax.Array:
    """`q . k` (Luong et al. 2015, equation 8)."""
    return jnp.sum(query * keys, axis=-1)


def weigh(scores: jax.Array, visible: jax.Array) -> jax.Array:
    """The softmax over the visible ones along the last axis; zeros where there are none."""
    weights = jax.nn.softmax(jnp.where(visible, scores, HIDDEN), axis=-1)
    return jnp.where(visible, weights, 0.0)
