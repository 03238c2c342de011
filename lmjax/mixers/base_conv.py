"""BaseConv: a gate and a short convolution (Arora et al. 2023, section 4; as in Based, 2024)."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer

from lmjax.errors import UserError
from lmjax.mixers.contract import Mixer
from lmjax.nn.dense import Dense
from lmjax.nn.short_convolution import ShortConvolution, initial_past


class BaseConv(Mixer):
    """`y = (swish(convolution(x W_1 + b_1)) * (x W_2 + b_2)) W_3 + b_3`, over a few tokens.

    The swish and the wider inner layer are those of the authors' code for Based. A short
    convolution reads any number of tokens alike, so both forms are one. Raises UserError for sizes
    below 1.
    """

    initializer: Initializer
    output_initializer: Initializer
    convolution_width: int = 3  # W
    expansion: int = 2  # the inner width E as a multiple of the model's

    def __post_init__(self):
        super().__post_init__()
        if self.convolution_width < 1 or self.expansion < 1:
            raise UserError(
                f"convolution_width {self.convolution_width} and expansion {self.expansion} of "
                "base_conv are at least 1"
            )

    def initial_carry(self, batch_size: int, max_length: int) -> jax.Array:
        return initial_past(batch_size, self.convolution_width, self.expansion * self.width)

    @nn.compact
    def __call__(
        self,
        x_BTD: jax.Array,
        carry: jax.Array | None,
        positions_BT: jax.Array,
        segment_ids_BT: jax.Array | None,
        deterministic: bool,
    ) -> tuple[jax.Array, jax.Array | None]:
        """`y_BTD, past_BWE`; positions say how many of the last inputs are of the segment."""
        rows, length, width = x_BTD.shape
        past_BWE = self.initial_carry(rows, length) if carry is None else carry
        axes = "embed", "mlp"
        project = Dense(2 * self.expansion * width, axes, True, self.initializer, name="input")
        u_BTE, gate_BTE = jnp.split(project(x_BTD), 2, axis=-1)
        convolve = ShortConvolution(self.convolution_width, name="convolution")
        convolved_BTE, past_BWE = convolve(u_BTE, past_BWE, positions_BT)
        y_BTE = (nn.silu(convolved_BTE) * gate_BTE).astype(x_BTD.dtype)
        output = Dense(width, axes[::-1], True, self.output_initializer, name="output")
        return output(y_BTE), None if carry is None else past_BWE
