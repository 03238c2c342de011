"""Normalisation of each head by itself, with a scale of each number of all heads."""

import flax.linen as nn
import jax

from lmjax.nn.broadcast import at_each_token
from lmjax.nn.norms import EPSILON, normalise
from lmjax.nn.precision import wide


class HeadNorm(nn.Module):
    """Mean zero and variance one in each head, then a learned scale and bias (Wu and He 2018).

    It computes in float32 and leaves it so. `epsilon` is added to the variance.
    """

    bias: bool = False
    epsilon: float = EPSILON

    @nn.compact
    def __call__(self, y_BTHP: jax.Array) -> jax.Array:
        """`y_BTE`, all heads side by side."""
        normalised_BTHP = normalise(y_BTHP.astype(wide(y_BTHP.dtype)), self.epsilon)
        y_BTE = normalised_BTHP.reshape(*y_BTHP.shape[:2], -1)
        y_BTE *= at_each_token(self._parameter("scale", nn.initializers.ones, y_BTE), y_BTE)
        if self.bias:
            y_BTE += self._parameter("bias", nn.initializers.zeros, y_BTE)[None, None]
        return y_BTE

    def _parameter(self, name, initializer, y_BTE) -> jax.Array:
        initializer = nn.with_logical_partitioning(initializer, ("heads",))
        return self.param(name, initializer, y_BTE.shape[-1:])
