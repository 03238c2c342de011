"""A recurrent layer as a mixer, with the cell that is asked for by name."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer

from lmjax.errors import UserError, nearest
from lmjax.mixers.contract import Mixer
from lmjax.mixers.elman import ELMAN
from lmjax.mixers.gru import GRU
from lmjax.mixers.lstm import LSTM
from lmjax.mixers.recurrence import Cell, State, fast
from lmjax.nn.precision import wide_product

CELLS = {"elman": ELMAN, "gru": GRU, "lstm": LSTM}


def find_cell(name: str) -> Cell:
    """The cell of that name; raises UserError, with the nearest name, if there is none."""
    if name not in CELLS:
        raise UserError(f"unknown model.cell {name!r}: {nearest(name, CELLS)}")
    return CELLS[name]


class RecurrentLayer(Mixer, kw_only=True):
    """`width` cells, each of which sees the input and all cells' last output.

    x may be of another width than y; its product with its weights is computed in its type, and the
    recurrence in float32. All parameters are drawn by `initializer`; `forget_bias` is
    added to the forget gate's. Raises UserError for an unknown cell.
    """

    cell: str = "lstm"
    initializer: Initializer
    forget_bias: float = 0.0

    def __post_init__(self):
        super().__post_init__()
        find_cell(self.cell)

    def initial_carry(self, batch_size: int, max_length: int) -> State:
        return find_cell(self.cell).initial_state(batch_size, self.width)

    @nn.compact
    def __call__(
        self,
        x_BTD: jax.Array,
        carry: State | None,
        positions_BT: jax.Array,
        segment_ids_BT: jax.Array | None,
        deterministic: bool,
    ) -> tuple[jax.Array, State | None]:
        """`y_BTD, carry`; the state is reset at position 0 if there are segments."""
        rows, length, input_width = x_BTD.shape
        cell = find_cell(self.cell)
        state = self.initial_carry(rows, length) if carry is None else carry
        gates = cell.gates * self.width
        kernel_EG = self._parameter("input_kernel", ("embed", "gates"), (input_width, gates))
        kernel_DG = self._parameter("recurrent_kernel", ("hidden", "gates"), (self.width, gates))
        bias_G = self.param("bias", nn.with_logical_partitioning(self._bias, ("gates",)), (gates,))
        recurrent_bias_G = None
        if biased := cell.recurrent_biases * self.width:
            recurrent_bias_N = self._parameter("recurrent_bias", ("gates",), (biased,))
            recurrent_bias_G = jnp.pad(recurrent_bias_N, (gates - biased, 0))
        x_NE = x_BTD.reshape(-1, input_width)
        input_NG = wide_product(x_NE, kernel_EG.astype(x_BTD.dtype)) + bias_G[None, :]
        input_TBG = input_NG.reshape(rows, length, gates).swapaxes(0, 1)
        begins_TB = None if segment_ids_BT is None else (positions_BT == 0).T
        y_TBD, state = fast(cell, kernel_DG, recurrent_bias_G, state, input_TBG, begins_TB)
        return y_TBD.swapaxes(0, 1).astype(x_BTD.dtype), None if carry is None else state

    def _parameter(self, name: str, axes: tuple[str, ...], shape: tuple[int, ...]) -> jax.Array:
        return self.param(name, nn.with_logical_partitioning(self.initializer, axes), shape)

    def _bias(self, key, shape):
        bias_G = self.initializer(key, shape)
        forget_gate = find_cell(self.cell).forget_gate
        if forget_gate is None:
            return bias_G
        begin = forget_gate * self.width
        return bias_G.at[begin : begin + self.width].add(self.forget_bias)
