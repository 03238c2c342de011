"""What a layer does to each token alone, by name."""

from collections.abc import Callable
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer

from lmjax.errors import UserError
from lmjax.nn.dense import Dense


class FeedForward(nn.Module):
    """`y_BTD = activation(x_BTD W_DF) W_FD` (Vaswani et al. 2017, section 3.3).

    Raises UserError for an inner width below 1.
    """

    activation: Callable[[jax.Array], jax.Array]
    inner_width: int
    bias: bool
    initializer: Initializer
    output_initializer: Initializer

    def __post_init__(self):
        super().__post_init__()
        if self.inner_width < 1:
            raise UserError(
                f"a feed-forward network is {self.inner_width} wide; give at least 1 as "
                "model.feed_forward_width or option inner_width, or feed_forward='none'"
            )

    @nn.compact
    def __call__(self, x_BTD: jax.Array, deterministic: bool = True) -> jax.Array:
        """`y_BTD`, through F = `inner_width`; nothing of it is drawn."""
        down = Dense(
            x_BTD.shape[-1], ("mlp", "embed"), self.bias, self.output_initializer, name="down"
        )
        return down(self.inner(x_BTD))

    def inner(self, x_BTD: jax.Array) -> jax.Array:
        """`y_BTF`, what the last product is of."""
        return self.activation(self._dense("up")(x_BTD))

    def _dense(self, name: str) -> Dense:
        axes = "embed", "mlp"
        return Dense(self.inner_width, axes, self.bias, self.initializer, name=name)


class GatedFeedForward(FeedForward):
    """`y_BTD = (activation(x_BTD V_DF) * x_BTD W_DF) W_FD` (Shazeer 2020, eq. 6)."""

    def inner(self, x_BTD: jax.Array) -> jax.Array:
        return self.activation(self._dense("gate")(x_BTD)) * self._dense("up")(x_BTD)


def squared_relu(x: jax.Array) -> jax.Array:
    """So et al. 2021 (Primer), section 3."""
    return jnp.square(jax.nn.relu(x))


# GELU: Hendrycks & Gimpel 2016; GPT-2 uses its approximation by tanh, nanoGPT the exact one.
gelu = partial(jax.nn.gelu, approximate=True)
FEED_FORWARDS = {
    "gelu": partial(FeedForward, gelu),
    "gelu_exact": partial(FeedForward, partial(jax.nn.gelu, approximate=False)),
    "relu": partial(FeedForward, jax.nn.relu),
    "swish": partial(FeedForward, jax.nn.swish),
    "squared_relu": partial(FeedForward, squared_relu),
    "gated_gelu": partial(GatedFeedForward, gelu),  # T5's name of the next one
    "geglu": partial(GatedFeedForward, gelu),
    "swiglu": partial(GatedFeedForward, jax.nn.swish),
}
