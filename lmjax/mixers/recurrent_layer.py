"""A recurrent layer as a mixer, with the cell that is asked for by name."""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer

from lmjax.errors import UserError, nearest
from lmjax.mixers.contract import Mixer
from lmjax.mixers.elman import ELMAN
from lmjax.mixers.gru import GRU
from lmjax.mixers.lstm import LSTM
from lmjax.mixers.recurrence import Cell, State, fast, sequence
from lmjax.nn.precision import wide_product

CELLS = {"elman": ELMAN, "gru": GRU, "lstm": LSTM}


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
        kernel_EG = self._parameter("input_kernel", ("embed", "gates"), (input_width, gates))
        kernel_DG = self._parameter("recurrent_kernel", ("hidden", "gates"), (self.width, gates))
        bias_G = self.param("bias", nn.with_logical_partitioning(self._bias, ("gates",)), (gates,))
        recurrent_bias_G = None
        if biased := cell.recurrent_biases * self.width:
            recurrent_bias_N = self._parameter("recurrent_bias", ("gates",), (biased,))
            recurrent_bias_G = jnp.pad(recurrent_bias_N, (gates - biased, 0))
        return Weights(kernel_EG, kernel_DG, bias_G, recurrent_bias_G)

    def _parameter(self, name: str, axes: tuple[str, ...], shape: tuple[int, ...]) -> jax.Array:
        return self.param(name, nn.with_logical_partitioning(self.initializer, axes), shape)

    def _bias(self, key, shape):
        bias_G = self.initializer(key, shape)
        forget_gate = find_cell(self.cell).forget_gate
        if forget_gate is None:
            return bias_G
        begin = forget_gate * self.width
        return bias_G.at[begin : begin + self.width].add(self.forget_bias)


def input_sums(weights: Weights, x_BTE: jax.Array) -> jax.Array:
    """`input_TBG`, what the gates add up of x, which may be the first part of the layer's input."""
    rows, length, width = x_BTE.shape
    kernel_EG = weights.input_kernel_EG[:width].astype(x_BTE.dtype)
    input_NG = wide_product(x_BTE.reshape(-1, width), kernel_EG) + weights.bias_G[None, :]
    return input_NG.reshape(rows, length, -1).swapaxes(0, 1)
