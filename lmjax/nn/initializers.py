"""How parameters are drawn before training, where jax.nn.initializers has no name for it."""

import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer


def symmetric_uniform(limit: float) -> Initializer:
    """Uniform in +-`limit`."""

    def initialize(key, shape, dtype=jnp.float32):
        return jax.random.uniform(key, shape, dtype, -limit, limit)

    return initialize
