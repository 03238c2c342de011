"""A recurrent layer as a mixer, with the cell that is asked for by name."""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from lmjax.errors import UserError, nearest
from lmjax.mixers.capped_lstm import CAPPED_LSTM
from lmjax.mixers.coupled_lstm import COUPLED_LSTM
from lmjax.mixers.elman import ELMAN
from lmjax.mixers.gru import GRU
from lmjax.mixers.lstm import LSTM
from lmjax.mixers.recurrence import Cell, State, fast, sequence
from lmjax.mixers.recurrent_mixer import RecurrentMixer, wide_sums

CELLS = {
    "elman": ELMAN,
    "gru": GRU,
    "lstm": LSTM,
    "capped_lstm": CAPPED_LSTM,
    "coupled_lstm": COUPLED_LSTM,
}


def find_cell(name: str) -> Cell:
    """The cell of that name; raises UserError, with the nearest name, if there is none."""
    if name not in CELLS:
        raise UserError(f"unknown model.cell {name!r}: {nearest(name, CELLS)}")
    return CELLS[name]


class Weights(NamedTuple):
    """Those of one layer; a recurrent bias of None is none."""

    input_kernel_EG: jax.Array
    recurrent_kernel_DG: jax.Array
    bias_G: jax.Array
    recurrent_bias_G: jax.Array | None


class RecurrentLayer(RecurrentMixer, kw_only=True):
    """`width` cells, each of which sees the input and all cells' last output.

    The product of x with its weights is computed in its type, and the recurrence in float32. Raises
    UserError for an unknown cell.
    """

    cell: str = "lstm"

    def __post_init__(self):
        super().__post_init__()
        find_cell(self.cell)

    def initial_carry(self, batch_size: int, max_length: int) -> State:
        return find_cell(self.cell).initial_state(batch_size, self.width)

    def __call__(
        self,
        x_BTD: jax.Array,
        carry: State | None,
        positions_BT: jax.Array,
        segment_ids_BT: jax.Array | None,
        deterministic: bool,
    ) -> tuple[jax.Array, State | None]:
        """`y_BTD, carry`; the state is reset at position 0 if there are segments."""
        state = self.initial_carry(*x_BTD.shape[:2]) if carry is None else carry
        begins_BT = None if segment_ids_BT is None else positions_BT == 0
        y_BTD, state = self.read(x_BTD, state, begins_BT)
        return y_BTD, None if carry is None else state

    def read(
        self,
        x_BTE: jax.Array,
        state: State,
        begins_BT: jax.Array | None = None,
        padding_BT: jax.Array | None = None,
        joined_BE: jax.Array | None = None,
    ) -> tuple[jax.Array, State]:
        """`y_BTD, state`; the state is reset where a segment begins, and kept over padding.

        `joined_BE` is read beside each of a row's tokens, after what x holds.
        """
        joined_width = 0 if joined_BE is None else joined_BE.shape[-1]
        weights = self.weights(x_BTE.shape[-1] + joined_width)
        input_TBG = input_sums(weights, x_BTE)
        if joined_BE is not None:
            input_TBG += (joined_BE @ weights.input_kernel_EG[-joined_width:])[None]
        loop = sequence if self.form == "step" else fast
        y_TBD, state = loop(
            find_cell(self.cell),
            weights.recurrent_kernel_DG,
            weights.recurrent_bias_G,
            state,
            input_TBG,
            None if begins_BT is None else begins_BT.T,
            None if padding_BT is None else padding_BT.T,
        )
        return y_TBD.swapaxes(0, 1).astype(x_BTE.dtype), state

    @nn.compact
    def weights(self, input_width: int) -> Weights:
        """The layer's parameters, for inputs of that width."""
        cell = find_cell(self.cell)
        gates = cell.gates * self.width
        kernel_EG = self.drawn("input_kernel", ("embed", "gates"), (input_width, gates))
        kernel_DG = self.drawn("recurrent_kernel", ("hidden", "gates"), (self.width, gates))
        bias_G = self.gate_bias(cell.gates, cell.forget_gate, self.width)
        recurrent_bias_G = None
        if biased := cell.recurrent_biases * self.width:
            recurrent_bias_N = self.drawn("recurrent_bias", ("gates",), (biased,))
            recurrent_bias_G = jnp.pad(recurrent_bias_N, (gates - biased, 0))
        return Weights(kernel_EG, kernel_DG, bias_G, recurrent_bias_G)


def input_sums(weights: Weights, x_BTE: jax.Array) -> jax.Array:
    """`input_TBG`, what the gates add up of x, which may be the first part of the layer's input."""
    sums_BTG = wide_sums(x_BTE, weights.input_kernel_EG[: x_BTE.shape[-1]])
    return (sums_BTG + weights.bias_G[None, None]).swapaxes(0, 1)
