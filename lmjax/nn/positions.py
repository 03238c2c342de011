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

    is_endless = False  # whether it tells apart positions beyond `context_length`

    @nn.compact
    def __call__(self, positions_BT: jax.Array) -> jax.Array:
        """`x_BTD`; a position beyond the context is read as its last one."""
        initializer = nn.with_logical_partitioning(self.initializer, ("position", "embed"))
        table_SD = self.param("embedding", initializer, (self.context_length, self.width))
        return jnp.take(table_SD, positions_BT, axis=0, mode="clip")


class SinusoidalPosition(nn.Module):
    """Sines and cosines whose wavelengths grow from 2 pi to 20,000 pi (Vaswani et al. 2017, 3.5).

    The first half of the vector are sines, the other cosines; an odd width lacks the last cosine.
    """

    context_length: int
    width: int
    initializer: Initializer

    is_endless = True

    def __call__(self, positions_BT: jax.Array) -> jax.Array:
        """`x_BTD`."""
        return sinusoids(positions_BT, self.width)


def sinusoids(positions_BT: jax.Array, width: int) -> jax.Array:
    """`x_BTD` with D = `width`: the sines and then the cosines of positions at all wavelengths."""
    frequency_D = 10_000.0 ** (-jnp.arange(0, width, 2) / width)
    angle_BTD = positions_BT[..., None] * frequency_D[None, None, :]
    x_BTD = jnp.concatenate([jnp.sin(angle_BTD), jnp.cos(angle_BTD)], axis=-1)
    return x_BTD[..., :width]


class NoPosition(nn.Module):
    """Nothing: for mixers that know the order of tokens by themselves."""

    context_length: int
    width: int
    initializer: Initializer

    is_endless = True

    def __call__(self, positions_BT: jax.Array) -> jax.Array:
        """Zero, for all of `x_BTD`."""
        return jnp.zeros((1, 1, 1))


POSITIONS = {"learned": LearnedPosition, "sinusoidal": SinusoidalPosition, "none": NoPosition}
# What is a matter of scores: of each mixer that has a field `position`; embeddings get nothing.
OF_SCORES = ("rotary", "alibi", "relative")
