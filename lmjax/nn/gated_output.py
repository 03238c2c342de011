"""What follows the heads of retention and of gated linear attention."""

import flax.linen as nn
import jax
from jax.nn.initializers import Initializer

from lmjax.nn.dense import Dense
from lmjax.nn.norms import normalise
from lmjax.nn.precision import wide


class GatedOutput(nn.Module):
    """`y_BTD = (swish(x W_G) * norm(heads)) W_O`, with mean zero and variance one in each head.

    (Sun et al. 2023, equation 8; Yang et al. 2023, section 4.4.) A scale of the norm would be one
    with W_O.
    """

    bias: bool
    initializer: Initializer
    output_initializer: Initializer

    @nn.compact
    def __call__(self, x_BTD: jax.Array, heads_BTHV: jax.Array) -> jax.Array:
        """`y_BTD`, in the type of x."""
        rows, length, width = x_BTD.shape
        y_BTE = normalise(heads_BTHV).reshape(rows, length, -1)
        axes = "embed", "heads"
        gate_BTE = Dense(y_BTE.shape[-1], axes, self.bias, self.initializer, name="gate")(x_BTD)
        y_BTE = (y_BTE * nn.silu(gate_BTE.astype(wide(x_BTD.dtype)))).astype(x_BTD.dtype)
        return Dense(width, axes[::-1], self.bias, self.output_initializer, name="output")(y_BTE)
