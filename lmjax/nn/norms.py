"""Normalisations of a vector by its own statistics, by name."""

import flax.linen as nn
import jax
import jax.numpy as jnp

EPSILON = 1e-5


class LayerNorm(nn.Module):
    """Mean zero and variance one over D, then a learned scale and bias (Ba et al. 2016, eq. 4)."""

    bias: bool = False

    @nn.compact
    def __call__(self, x_BTD: jax.Array) -> jax.Array:
        """`y_BTD`."""
        shape_D = x_BTD.shape[-1:]
        ones = nn.with_logical_partitioning(nn.initializers.ones, ("embed",))
        y_BTD = normalise(x_BTD) * self.param("scale", ones, shape_D)[None, None, :]
        if self.bias:
            zeros = nn.with_logical_partitioning(nn.initializers.zeros, ("embed",))
            y_BTD += self.param("bias", zeros, shape_D)[None, None, :]
        return y_BTD


def normalise(x_BTD: jax.Array) -> jax.Array:
    """`x_BTD` with mean zero and variance one over its last dimension."""
    centred_BTD = x_BTD - x_BTD.mean(axis=-1, keepdims=True)
    variance_BT1 = jnp.square(centred_BTD).mean(axis=-1, keepdims=True)
    return centred_BTD * jax.lax.rsqrt(variance_BT1 + EPSILON)


NORMS = {"layer_norm": LayerNorm}
