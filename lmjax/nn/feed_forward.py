"""What a layer does to each token alone, by name."""

from collections.abc import Callable
from functools import partial

import flax.linen as nn
import jax
from jax.nn.initializers import Initializer

from lmjax.nn.dense import Dense


class FeedForward(nn.Module):
    """`y_BTD = activation(x_BTD W_DF) W_FD` (Vaswani et al. 2017, section 3.3)."""

    activation: Callable[[jax.Array], jax.Array]
    inner_width: int
    bias: bool
    initializer: Initializer
    output_initializer: Initializer

    @nn.compact
    def __call__(self, x_BTD: jax.Array) -> jax.Array:
        """`y_BTD`, through F = `inner_width`."""
        up = Dense(self.inner_width, ("embed", "mlp"), self.bias, self.initializer, name="up")
        down = Dense(
            x_BTD.shape[-1], ("mlp", "embed"), self.bias, self.output_initializer, name="down"
        )
        return down(self.activation(up(x_BTD)))


# GELU: Hendrycks & Gimpel 2016; GPT-2 uses its approximation by tanh, nanoGPT the exact one.
FEED_FORWARDS = {
    "gelu": partial(FeedForward, partial(jax.nn.gelu, approximate=True)),
    "gelu_exact": partial(FeedForward, partial(jax.nn.gelu, approximate=False)),
}
