"""Dropout within a recurrent layer, by masks that stay the same along time.

Gal and Ghahramani (2016), section 4.2; Zaremba et al. (2014) draw masks anew at each time, and of
inputs alone.
"""

from functools import partial

import jax
import jax.numpy as jnp

from lmjax.errors import UserError, nearest
from lmjax.mixers.recurrence import Cell, State
from lmjax.mixers.recurrent_layer import RecurrentLayer, find_cell
from lmjax.mixers.recurrent_mixer import wide_sums
from lmjax.nn.dropout import Dropout

MASKS = ("tied", "per_gate")


def masked_step(cell: Cell, multiply, fixed, state: State, input_BG: jax.Array):
    """The cell's step, each of whose products with the last output is of that times its mask."""
    masks, recurrent_bias_G = fixed
    products = (multiply(str(i), state[0] * mask_BD) for i, mask_BD in enumerate(masks))
    recurrent_BG = jnp.concatenate(list(products), axis=-1)
    if recurrent_bias_G is not None:
        recurrent_BG += recurrent_bias_G[None]
    state = cell.step(state, input_BG, recurrent_BG)
    return state, state[0]


class VariationalRecurrentLayer(RecurrentLayer, kw_only=True):
    """A recurrent layer whose inputs and last outputs are multiplied by masks of dropout.

    They are drawn once for each row and, `per_gate`, for each gate (equations 6 and 5 with tied and
    untied weights of the arXiv version). Raises UserError for other masks.
    """

    input_dropout: float = 0.0
    recurrent_dropout: float = 0.0
    masks: str = "tied"

    def __post_init__(self):
        super().__post_init__()
        if self.masks not in MASKS:
            raise UserError(f"unknown masks {self.masks!r}: {nearest(self.masks, MASKS)}")

    def setup(self):
        self.drop_inputs = Dropout(self.input_dropout, of_model=False)
        self.drop_outputs = Dropout(self.recurrent_dropout, of_model=False)

    def __call__(
        self,
        x_BTD: jax.Array,
        carry: State | None,
        positions_BT: jax.Array,
        segment_ids_BT: jax.Array | None,
        deterministic: bool,
    ) -> tuple[jax.Array, State | None]:
        if deterministic or not (self.input_dropout or self.recurrent_dropout):
            return super().__call__(x_BTD, carry, positions_BT, segment_ids_BT, deterministic)
        cell, (rows, _, inputs) = find_cell(self.cell), x_BTD.shape
        weights = self.weights(inputs)
        count = cell.gates if self.masks == "per_gate" else 1

        def masks(drop, width):
            return tuple(drop(jnp.ones((count, rows, width)), deterministic=False))

        kernels = jnp.split(weights.input_kernel_EG, count, axis=1)
        masked = (
            wide_sums(x_BTD * mask_BE[:, None].astype(x_BTD.dtype), kernel)
            for mask_BE, kernel in zip(masks(self.drop_inputs, inputs), kernels, strict=True)
        )
        input_BTG = jnp.concatenate(list(masked), axis=-1) + weights.bias_G[None, None]
        kernels = jnp.split(weights.recurrent_kernel_DG, count, axis=1)
        y_BTD, carry = self.loop(
            partial(masked_step, cell),
            {str(index): kernel for index, kernel in enumerate(kernels)},
            (masks(self.drop_outputs, self.width), weights.recurrent_bias_G),
            carry,
            input_BTG,
            positions_BT,
            segment_ids_BT,
        )
        return y_BTD.astype(x_BTD.dtype), carry
