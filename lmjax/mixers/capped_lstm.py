"""An LSTM whose input gate takes what its forget gate leaves at most (Melis et al. 2018, 3)."""

import jax
import jax.numpy as jnp

from lmjax.mixers.recurrence import Cell, State


def capped_lstm_step(state: State, input_BG: jax.Array, recurrent_BG: jax.Array) -> State:
    """Gates i, f and o, candidate g:

    `c = f * c + min(i, 1 - f) * g`; `h = o * tanh(c)`. So c stays within -1 and 1.
    """
    _, c_BD = state
    i_BD, f_BD, g_BD, o_BD = jnp.split(input_BG + recurrent_BG, 4, axis=-1)
    f_BD = jax.nn.sigmoid(f_BD)
    c_BD = f_BD * c_BD + jnp.minimum(jax.nn.sigmoid(i_BD), 1.0 - f_BD) * jnp.tanh(g_BD)
    return jax.nn.sigmoid(o_BD) * jnp.tanh(c_BD), c_BD


CAPPED_LSTM = Cell(capped_lstm_step, gates=4, states=2, forget_gate=1)
