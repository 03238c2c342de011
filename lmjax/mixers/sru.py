"""SRU: a recurrence whose gates see each cell by itself, with a highway (Lei et al. 2018).

D is the number of cells, as x is wide. All matrix products are of x alone, so for all tokens at
once; gates see the cell before, so what is left, numbers by themselves, is no linear recurrence.
"""

import math
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from lmjax.mixers.contract import Mixer
from lmjax.mixers.forms import by_steps, segment_begins
from lmjax.nn.broadcast import for_each_row
from lmjax.nn.dense import Dense
from lmjax.nn.initializers import symmetric_uniform
from lmjax.nn.precision import wide


def step(c_BD, x_BD, candidate_BD, forget_BD, reset_BD, begins_B, *, see_f_BD, see_r_BD, scale):
    """`y_BD, c_BD` after one token: `c' = f c + (1 - f) W x`, `y = r c' + (1 - r) alpha x`.

    `f = sigmoid(W_f x + v_f c + b_f)`, and r likewise (equations 1 to 4); what follows from x is
    given, v as `see_f_BD` and `see_r_BD`, alpha as `scale`.
    """
    c_BD = jnp.where(begins_B[:, None], 0.0, c_BD)
    f_BD = nn.sigmoid(forget_BD + see_f_BD * c_BD)
    r_BD = nn.sigmoid(reset_BD + see_r_BD * c_BD)
    c_BD = f_BD * c_BD + (1 - f_BD) * candidate_BD
    return r_BD * c_BD + (1 - r_BD) * scale * x_BD, c_BD


class SRU(Mixer):
    """Three products of x, and `step`. Parameters begin as in section 3.2.

    Its parallel form is `step` after `step`, of which only cells are kept for the gradient.
    """

    highway_bias: float = 0.0  # of the reset gate at the start; below 0, y begins near x

    @property
    def _scale(self) -> float:
        """Of what goes past the cells, so that y varies as x does (section 3.2)."""
        return (1 + 2 * math.exp(self.highway_bias)) ** 0.5

    def initial_carry(self, batch_size: int, max_length: int) -> jax.Array:
        return jnp.zeros((batch_size, self.width))

    @nn.compact
    def __call__(
        self,
        x_BTD: jax.Array,
        carry: jax.Array | None,
        positions_BT: jax.Array,
        segment_ids_BT: jax.Array | None,
        deterministic: bool,
    ) -> tuple[jax.Array, jax.Array | None]:
        """`y_BTD, carry`; cells are reset at position 0 if there are segments."""
        rows, length, width = x_BTD.shape
        c_BD = self.initial_carry(rows, length) if carry is None else carry
        uniform = symmetric_uniform((3 / width) ** 0.5)
        project = Dense(3 * width, ("embed", "gates"), False, uniform, True, name="input")
        candidate_BTD, forget_BTD, reset_BTD = jnp.split(project(x_BTD), 3, axis=-1)
        zeros, bias = nn.initializers.zeros, nn.initializers.constant(self.highway_bias)
        vector = partial(self.parameter, axes=("gates",), shape=(width,))
        forget_BTD += vector("forget_bias", zeros)[None, None]
        reset_BTD += vector("reset_bias", bias)[None, None]
        one = partial(
            step,
            see_f_BD=for_each_row(vector("forget_weight", uniform), rows),
            see_r_BD=for_each_row(vector("reset_weight", uniform), rows),
            scale=self._scale,
        )
        many = partial(by_steps, jax.checkpoint(one, prevent_cse=False))
        begins_BT = segment_begins(positions_BT, segment_ids_BT, rows)
        x_BTD, dtype = x_BTD.astype(wide(x_BTD.dtype)), x_BTD.dtype
        inputs = x_BTD, candidate_BTD, forget_BTD, reset_BTD, begins_BT
        y_BTD, c_BD = self.run(one, many, c_BD, *inputs)
        return y_BTD.astype(dtype), None if carry is None else c_BD
