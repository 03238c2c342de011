"""A causal convolution over a few tokens, each channel by itself."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from lmjax.nn.broadcast import at_each_token
from lmjax.nn.initializers import symmetric_uniform


class ShortConvolution(nn.Module):
    """The weighted sum of the last `taps` inputs of each channel in its segment, the present last.

    What is remembered are `taps - 1` inputs, zeros at first. Parameters begin uniform in
    +-1/sqrt(taps). It computes in the type of the parameters.
    """

    taps: int
    bias: bool = True

    @nn.compact
    def __call__(
        self, x_BTE: jax.Array, past_BWE: jax.Array, positions_BT: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """`y_BTE, past_BWE`; positions say how many of the last inputs are of the segment."""
        length, inner = x_BTE.shape[1:]
        uniform = symmetric_uniform(self.taps**-0.5)
        kernel_WE = self._parameter("kernel", uniform, (None, "mlp"), (self.taps, inner))
        joined_BTE = jnp.concatenate([past_BWE.astype(x_BTE.dtype), x_BTE], axis=1)
        total_BTE = 0.0
        if self.bias:
            total_BTE = self._parameter("bias", uniform, ("mlp",), (inner,))[None, None]
        for tap in range(self.taps):
            within_BT1 = (positions_BT >= self.taps - 1 - tap)[..., None]
            shifted_BTE = joined_BTE[:, tap : tap + length]
            weight_BTE = at_each_token(kernel_WE[tap], x_BTE)
            total_BTE += jnp.where(within_BT1, shifted_BTE, 0.0) * weight_BTE
        return total_BTE, joined_BTE[:, length:].astype(past_BWE.dtype)

    def _parameter(self, name, initializer, axes, shape) -> jax.Array:
        return self.param(name, nn.with_logical_partitioning(initializer, axes), shape)


def initial_past(batch_size: int, taps: int, width: int) -> jax.Array:
    """`past_BWE` before the first token."""
    return jnp.zeros((batch_size, taps - 1, width))
