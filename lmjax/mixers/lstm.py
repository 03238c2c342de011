"""Long short-term memory (Hochreiter and Schmidhuber 1997) with forget gates (Gers et al. 2000)."""

import jax
import jax.numpy as jnp

from lmjax.mixers.recurrence import Cell, State


def lstm_step(state: State, input_BG: jax.Array, recurrent_BG: jax.Array) -> State:
    """Input gate i, forget gate f, candidate g, output gate o:

    `c = f * c + i * g`; `h = o * tanh(c)` (Zaremba et al. 2014, section 3).
    """
    _, c_BD = state
    i_BD, f_BD, g_BD, o_BD = jnp.split(input_BG + recurrent_BG, 4, axis=-1)
    c_BD = jax.nn.sigmoid(f_BD) * c_BD + jax.nn.sigmoid(i_BD) * jnp.tanh(g_BD)
    return jax.nn.sigmoid(o_BD) * jnp.tanh(c_BD), c_BD


LSTM = Cell(lstm_step, gates=4, states=2, forget_gate=1)
