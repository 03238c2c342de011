"""An LSTM whose gates see the cells as well (Gers, Schraudolph and Schmidhuber 2002)."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from lmjax.mixers.recurrence import State
from lmjax.mixers.recurrent_mixer import RecurrentMixer, wide_sums


def step(multiply, peepholes, state, input_BG):
    """Gates i and f see the cell before, the output gate o the cell after (their section 2.2):

    `c = f * c + i * g`; `h = o * tanh(c)`.
    """
    (h_BD, c_BD), (see_i_BD, see_f_BD, see_o_BD) = state, peepholes
    sums_BG = input_BG + multiply("recurrent", h_BD)
    i_BD, f_BD, g_BD, o_BD = jnp.split(sums_BG, 4, axis=-1)
    i_BD = jax.nn.sigmoid(i_BD + see_i_BD * c_BD)
    f_BD = jax.nn.sigmoid(f_BD + see_f_BD * c_BD)
    c_BD = f_BD * c_BD + i_BD * jnp.tanh(g_BD)
    h_BD = jax.nn.sigmoid(o_BD + see_o_BD * c_BD) * jnp.tanh(c_BD)
    return (h_BD, c_BD), h_BD


class PeepholeLSTM(RecurrentMixer):
    """An LSTM with a weight of each cell in each of its three gates. The carry is `h, c`."""

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
        gates = 4 * self.width
        kernel_EG = self.drawn("input_kernel", ("embed", "gates"), (x_BTD.shape[-1], gates))
        kernel_DG = self.drawn("recurrent_kernel", ("hidden", "gates"), (self.width, gates))
        peepholes_ND = self.drawn("peepholes", (None, "hidden"), (3, self.width))
        input_BTG = wide_sums(x_BTD, kernel_EG) + self.gate_bias(4, 1, self.width)[None, None]
        y_BTD, carry = self.loop(
            step,
            {"recurrent": kernel_DG},
            tuple(peepholes_ND[:, None]),
            carry,
            input_BTG,
            positions_BT,
            segment_ids_BT,
        )
        return y_BTD.astype(x_BTD.dtype), carry
