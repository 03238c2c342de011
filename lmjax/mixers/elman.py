"""The simple recurrent network of Elman (1990), with tanh."""

import jax
import jax.numpy as jnp

from lmjax.mixers.recurrence import Cell, State


def elman_step(state: State, input_BD: jax.Array, recurrent_BD: jax.Array) -> State:
    """`h = tanh(W x + b + U h)`."""
    return (jnp.tanh(input_BD + recurrent_BD),)


ELMAN = Cell(elman_step, gates=1)
