"""Recurrent layers that read a source, in one direction or in both."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer

from lmjax.mixers.recurrence import State
from lmjax.mixers.recurrent_layer import RecurrentLayer
from lmjax.nn.dropout import Dropout


class RecurrentEncoder(nn.Module):
    """Layers of cells, with dropout between them.

    With `bidirectional`, each layer reads both ways, and gives what both found side by side
    (Bahdanau et al. 2015, section 3.2). With `reverse`, the source is read from its end on
    (Sutskever et al. 2014, section 3.3).
    """

    cell: str
    layers: int
    width: int
    bidirectional: bool
    reverse: bool
    dropout: float
    initializer: Initializer
    forget_bias: float

    def setup(self):
        def layers(backward):
            return [
                RecurrentLayer(
                    width=self.width,
                    cell=self.cell,
                    initializer=self.initializer,
                    forget_bias=self.forget_bias,
                )
                for _ in range(self.layers if backward in self._directions else 0)
            ]

        self.forward_layers, self.backward_layers = layers(False), layers(True)
        self.drop = Dropout(self.dropout)

    @property
    def _directions(self) -> tuple[bool, ...]:
        """Which there are: True reads backwards."""
        return (False, True) if self.bidirectional else (self.reverse,)

    def __call__(
        self, x_BSE: jax.Array, visible_BS: jax.Array, deterministic: bool
    ) -> tuple[jax.Array, tuple[State, ...]]:
        """`encoded_BSE` of each token, and each layer's state after its last visible one.

        What is not visible is padding, over which states are kept.
        """
        padding_BS, finals = ~visible_BS, []
        for index in range(self.layers):
            if index:
                x_BSE = self.drop(x_BSE, deterministic=deterministic)
            found = [
                self._read(x_BSE, padding_BS, index, backward) for backward in self._directions
            ]
            ys_BSD, states = zip(*found, strict=True)
            x_BSE = jnp.concatenate(ys_BSD, axis=-1)
            finals.append(
                tuple(jnp.concatenate(leaves, axis=-1) for leaves in zip(*states, strict=True))
            )
        return x_BSE, tuple(finals)

    def _read(self, x_BSE, padding_BS, index, backward):
        layers = self.backward_layers if backward else self.forward_layers
        state = layers[index].initial_carry(len(x_BSE), 0)
        if not backward:
            return layers[index].read(x_BSE, state, padding_BT=padding_BS)
        y_BSD, state = layers[index].read(x_BSE[:, ::-1], state, padding_BT=padding_BS[:, ::-1])
        return y_BSD[:, ::-1], state
