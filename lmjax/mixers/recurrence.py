"""Recurrent layers whatever their cell: forms of one loop over time, and the layer itself.

G counts the sums of all gates: a cell's gates times D. Time leads inside the loop: x_TBG.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

from lmjax.nn.precision import sum_of_rows

State = tuple[jax.Array, ...]  # each BD; the first of them is the cell's output


@dataclass(frozen=True)
class Cell:
    """`state = step(state, input_BG, recurrent_BG)`, given the sums over inputs and over outputs.

    The sums of the last `recurrent_biases` gates over the outputs have a bias of their own.
    """

    step: Callable[[State, jax.Array, jax.Array], State]
    gates: int
    states: int = 1
    recurrent_biases: int = 0
    forget_gate: int | None = None

    def initial_state(self, batch_size: int, width: int) -> State:
        """All zeros."""
        return (jnp.zeros((batch_size, width)),) * self.states


def step(
    cell: Cell,
    kernel_DG: jax.Array,
    bias_G: jax.Array | None,
    state: State,
    input_BG: jax.Array,
    begins_B: jax.Array | None,
    padding_B: jax.Array | None = None,
) -> State:
    """The state after one token; a row whose token begins a segment starts from zeros.

    A row whose token is padding keeps its state.
    """
    state = _forget(state, begins_B)
    return _keep(state, cell.step(state, input_BG, _recur(kernel_DG, bias_G, state)), padding_B)


def sequence(
    cell: Cell,
    kernel_DG: jax.Array,
    bias_G: jax.Array | None,
    state: State,
    input_TBG: jax.Array,
    begins_TB: jax.Array | None,
    padding_TB: jax.Array | None = None,
) -> tuple[jax.Array, State]:
    """`y_TBD, state`: `step` for each of T tokens."""

    def one(state, now):
        state = step(cell, kernel_DG, bias_G, state, *now)
        return state, state[0]

    state, y_TBD = lax.scan(one, state, (input_TBG, begins_TB, padding_TB))
    return y_TBD, state


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def fast(
    cell: Cell,
    kernel_DG: jax.Array,
    bias_G: jax.Array | None,
    state: State,
    input_TBG: jax.Array,
    begins_TB: jax.Array | None,
    padding_TB: jax.Array | None = None,
) -> tuple[jax.Array, State]:
    """`sequence`, with a gradient that multiplies matrices once for all T in place of at each t."""
    return sequence(cell, kernel_DG, bias_G, state, input_TBG, begins_TB, padding_TB)


def _fast_forward(cell, kernel_DG, bias_G, state, input_TBG, begins_TB, padding_TB):
    def one(state, now):
        input_BG, begins_B, padding_B = now
        state = _forget(state, begins_B)

        def advance(state, input_BG, recurrent_BG):
            return _keep(state, cell.step(state, input_BG, recurrent_BG), padding_B)

        after, pull = jax.vjp(advance, state, input_BG, _recur(kernel_DG, bias_G, state))
        kept, structure = jax.tree.flatten(pull)
        structures.append(structure)  # alike at all times, though equal only in a compiled loop
        return after, (after[0], state[0], kept)

    structures = []
    inputs = input_TBG, begins_TB, padding_TB
    state, (y_TBD, before_TBD, kept) = lax.scan(one, state, inputs)
    pulls = structures[0].unflatten(kept)
    return (y_TBD, state), (kernel_DG, bias_G, begins_TB, before_TBD, pulls)


def _fast_backward(cell, residuals, gradients):
    kernel_DG, bias_G, begins_TB, before_TBD, pulls = residuals
    y_gradient_TBD, state_gradient = gradients
    kernel_GD = kernel_DG.T

    def one(state_gradient, now):
        y_gradient_BD, begins_B, pull = now
        output_gradient_BD, *others = state_gradient
        state_gradient, input_gradient_BG, recurrent_gradient_BG = pull(
            (output_gradient_BD + y_gradient_BD, *others)
        )
        output_gradient_BD, *others = state_gradient
        output_gradient_BD += recurrent_gradient_BG @ kernel_GD
        state_gradient = _forget((output_gradient_BD, *others), begins_B)
        return state_gradient, (input_gradient_BG, recurrent_gradient_BG)

    state_gradient, (input_gradient_TBG, recurrent_gradient_TBG) = lax.scan(
        one, state_gradient, (y_gradient_TBD, begins_TB, pulls), reverse=True
    )
    before_ND, recurrent_gradient_NG = fold(before_TBD), fold(recurrent_gradient_TBG)
    kernel_gradient_DG = before_ND.T @ recurrent_gradient_NG
    bias_gradient_G = None if bias_G is None else sum_of_rows(recurrent_gradient_NG)
    return kernel_gradient_DG, bias_gradient_G, state_gradient, input_gradient_TBG, None, None


fast.defvjp(_fast_forward, _fast_backward)


def fold(x_TBD: jax.Array) -> jax.Array:
    """`x_ND`, rows first, so that rows which are spread over devices stay where they are."""
    return x_TBD.swapaxes(0, 1).reshape(-1, x_TBD.shape[-1])


def _forget(state: State, begins_B: jax.Array | None) -> State:
    if begins_B is None:
        return state
    return tuple(jnp.where(begins_B[:, None], 0.0, leaf_BD) for leaf_BD in state)


def _keep(before: State, after: State, padding_B: jax.Array | None) -> State:
    if padding_B is None:
        return after
    keep_B1 = padding_B[:, None]
    return tuple(jnp.where(keep_B1, *leaves_BD) for leaves_BD in zip(before, after, strict=True))


def _recur(kernel_DG: jax.Array, bias_G: jax.Array | None, state: State) -> jax.Array:
    sums_BG = state[0] @ kernel_DG
    return sums_BG if bias_G is None else sums_BG + bias_G[None, :]
