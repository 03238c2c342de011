"""How a model learns where in its segment a token stands, by name."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer


class LearnedPosition(nn.Module):
    """A vector for each of `context_length` positions (Radford et al. 2018)."""

    context_length: int
    width: int
    initializer: Initializer

    @nn.compact
    def __call__(self, positions_BT: jax.Array) -> jax.Array:
        """`x_BTD`; a position beyond the context is read as its last one."""
        initializer = nn.with_logical_partitioning(self.initializer, ("position", "embed"))
        table_SD = self.param("embedding", initializer, (self.context_length, self.width))
        return jnp.take(table_SD, positions_BT, axis=0, mode="clip")


POSITIONS = {"learned": LearnedPosition}
