"""An LSTM whose input and forget gate are one (Greff et al. 2017, section 3.G: CIFG)."""

import jax
import jax.numpy as jnp

from lmjax.mixers.recurrence import Cell, State


def coupled_lstm_step(state: State, input_BG: jax.Array, recurrent_BG: jax.Array) -> State:
    """Forget gate f, candidate g, output gate o: `c = f * c + (1 - f) * g`; `h = o * tanh(c)`."""
    _, c_BD = state
    f_BD, g_BD, o_BD = jnp.split(input_BG + recurrent_BG, 3, axis=-1)
    f_BD = jax.nn.sigmoid(f_BD)
    c_BD = f_BD * c_BD + (1.0 - f_BD) * jnp.tanh(g_BD)
    return jax.nn.sigmoid(o_BD) * jnp.tanh(c_BD), c_BD


COUPLED_LSTM = Cell(coupled_lstm_step, gates=3, states=2, forget_gate=0)
