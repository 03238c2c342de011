"""The token before each token, of which RWKV's layers mix a part into it."""

import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer


def shifted(
    x_BTD: jax.Array, last_BD: jax.Array, begins_BT: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """`before_BTD, last_BD`: the token before each, or zeros where a segment begins."""
    before_BTD = jnp.concatenate([last_BD[:, None].astype(x_BTD.dtype), x_BTD[:, :-1]], axis=1)
    before_BTD = jnp.where(begins_BT[..., None], 0.0, before_BTD)
    return before_BTD, x_BTD[:, -1].astype(last_BD.dtype)


def draw_mix(power: float) -> Initializer:
    """Shares of the token before: from 1 to nearly 0 over the channels, along a power of them."""

    def initialize(key, shape, dtype=jnp.float32):
        return 1.0 - (jnp.arange(*shape, dtype=dtype) / shape[0]) ** power

    return initialize
