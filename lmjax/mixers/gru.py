"""The gated recurrent unit (Cho et al. 2014), in cuDNN's form: reset after the matrix product."""

import jax
import jax.numpy as jnp

from lmjax.mixers.recurrence import Cell, State


def gru_step(state: State, input_BG: jax.Array, recurrent_BG: jax.Array) -> State:
    """Reset gate r, update gate z, candidate n:

    `n = tanh(W x + b + r * (U h + c))`; `h = (1 - z) * n + z * h`.
    """
    (h_BD,) = state
    input_r_BD, input_z_BD, input_n_BD = jnp.split(input_BG, 3, axis=-1)
    recurrent_r_BD, recurrent_z_BD, recurrent_n_BD = jnp.split(recurrent_BG, 3, axis=-1)
    r_BD = jax.nn.sigmoid(input_r_BD + recurrent_r_BD)
    z_BD = jax.nn.sigmoid(input_z_BD + recurrent_z_BD)
    n_BD = jnp.tanh(input_n_BD + r_BD * recurrent_n_BD)
    return ((1.0 - z_BD) * n_BD + z_BD * h_BD,)


GRU = Cell(gru_step, gates=3, recurrent_biases=1)
