"""A recurrent layer as a mixer, with the cell that is asked for by name."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer

from lmjax.errors import UserError, nearest
from lmjax.mixers.elman import ELMAN
from lmjax.mixers.gru import GRU
from lmjax.mixers.lstm import LSTM
from lmjax.mixers.recurrence import Cell, State, fast

CELLS = {"elman": ELMAN, "gru": GRU, "lstm": LSTM}


def find_cell(name: str) -> Cell:
    """The cell of that name; raises UserError, with the nearest name, if there is none."""
    if name not in CELLS:
        raise UserError(f"unknown model.cell {name!r}: {nearest(name, CELLS)}")
    return CELLS[name]


class RecurrentLayer(nn.Module):
    """The mixer: `width` cells, each of which sees the input and all cells' last output.

    All parameters are drawn by `initializer`; `forget_bias` is added to the forget gate's.
    """

    cell: Cell
    width: int
    initializer: Initializer
    forget_bias: float = 0.0

    @nn.compact
    def __call__(
        self,
        x_BTD: jax.Array,
        carry: State,
        positions_BT: jax.Array,
        segment_ids_BT: jax.Array | None,
    ) -> tuple[jax.Array, State]:
        """`y_BTD, carry`; the state is reset at position 0 if there are segments."""
        rows, length, input_width = x_BTD.shape
        gates = self.cell.gates * self.width
        kernel_EG = self._parameter("input_kernel", ("embed", "gates"), (input_width, gates))
        kernel_DG = self._parameter("recurrent_kernel", ("hidden", "gates"), (self.width, gates))
        bias_G = self.param("bias", nn.with_logical_partitioning(self._bias, ("gates",)), (gates,))
        recurrent_bias_G = None
        if biased := self.cell.recurrent_biases * self.width:
            recurrent_bias_N = self._parameter("recurrent_bias", ("gates",), (biased,))
            recurrent_bias_G = jnp.pad(recurrent_bias_N, (gates - biased, 0))
        input_NG = x_BTD.reshape(-1, input_width) @ kernel_EG + bias_G[None, :]
        input_TBG = input_NG.reshape(rows, length, gates).swapaxes(0, 1)
        begins_TB = None if segment_ids_BT is None else (positions_BT == 0).T
        y_TBD, carry = fast(self.cell, kernel_DG, recurrent_bias_G, carry, input_TBG, begins_TB)
        return y_TBD.swapaxes(0, 1), carry

    def _parameter(self, name: str, axes: tuple[str, ...], shape: tuple[int, ...]) -> jax.Array:
        return self.param(name, nn.with_logical_partitioning(self.initializer, axes), shape)

    def _bias(self, key, shape):
        bias_G = self.initializer(key, shape)
        if self.cell.forget_gate is None:
            return bias_G
        begin = self.cell.forget_gate * self.width
        return bias_G.at[begin : begin + self.width].add(self.forget_bias)
