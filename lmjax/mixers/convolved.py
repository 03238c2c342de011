"""A mixer that reads a short convolution of its input (Poli et al. 2023; Dao and Gu 2024)."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax

from lmjax.mixers.contract import Carry, Mixer
from lmjax.mixers.registry import told_its_layer
from lmjax.nn.short_convolution import ShortConvolution, initial_past


class ConvolvedMixer(nn.Module):
    """Any mixer after a convolution of `taps` tokens; the carry is the past of both.

    It is what a stack of layers makes of each mixer where a model asks for it, and of no registry.
    """

    make_mixer: Callable[..., Mixer]
    width: int
    taps: int
    bias: bool
    layer: int | None = None  # its number, which a mixer with such a field is told

    def setup(self):
        self.convolution = ShortConvolution(self.taps, self.bias)
        told = (
            self.make_mixer if self.layer is None else told_its_layer(self.make_mixer, self.layer)
        )
        self.mixer = told()

    @property
    def is_endless(self) -> bool:
        return self.make_mixer(parent=None).is_endless

    def initial_carry(self, batch_size: int, max_length: int) -> tuple[jax.Array, Carry]:
        """See `Mixer`."""
        past_BWD = initial_past(batch_size, self.taps, self.width)
        return past_BWD, self.make_mixer(parent=None).initial_carry(batch_size, max_length)

    def __call__(
        self, x_BTD: jax.Array, carry: Carry, positions_BT: jax.Array, *context: Any
    ) -> tuple[jax.Array, Carry]:
        """See `Mixer`."""
        past_BWD, before = carry or (initial_past(len(x_BTD), self.taps, self.width), None)
        read_BTD, past_BWD = self.convolution(x_BTD, past_BWD, positions_BT)
        y_BTD, after = self.mixer(read_BTD.astype(x_BTD.dtype), before, positions_BT, *context)
        return y_BTD, None if carry is None else (past_BWD, after)
