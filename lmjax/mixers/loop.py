"""A loop over time for steps that multiply by matrices which are the same at each time.

Time leads inside the loop: x_TBE. A matrix is EF, or BEF where each row has one of its own.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from lmjax.mixers.recurrence import fold

Matrices = Mapping[str, jax.Array]
Multiply = Callable[[str, jax.Array], jax.Array]  # by the matrix of that name
Step = Callable[[Multiply, Any, Any, Any], tuple[Any, Any]]


def sequence(
    step: Step, matrices: Matrices, fixed: Any, state: Any, inputs: Any
) -> tuple[Any, Any]:
    """`state, outputs`: `state, output = step(multiply, fixed, state, input)` for each of T inputs.

    `fixed` are arrays that are the same at each time: they lead with B, or with 1 if rows share
    them. A step multiplies once by each matrix.
    """

    def one(state, now):
        return step(partial(_product, matrices), fixed, state, now)

    return lax.scan(one, state, inputs)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def fast(step: Step, matrices: Matrices, fixed: Any, state: Any, inputs: Any) -> tuple[Any, Any]:
    """`sequence`, whose gradient by each matrix is one product for all T in place of one at each t.

    For it, products are kept, and what lies between them is computed anew. What rows share of
    `fixed` has its gradient summed over them after the loop. Only arrays that are given as
    arguments have a gradient, not those that `step` may close over.
    """
    return sequence(step, matrices, fixed, state, inputs)


def _fast_forward(step, matrices, fixed, state, inputs):
    length, rows = jax.tree.leaves(inputs)[0].shape[:2]

    def shifted(shifts, fixed, state, inputs):
        """The loop with a number added to each product, whose gradient is then the product's."""
        fixed = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (rows, *leaf.shape[1:])), fixed)

        def one(state, now):
            shift, now = now
            factors = {}

            def multiply(name, x_BE):
                factors[name] = x_BE
                return _product(matrices, name, x_BE) + shift[name]

            state, output = step(multiply, fixed, state, now)
            return state, (output, factors)

        kept = jax.checkpoint_policies.dots_saveable
        one = jax.checkpoint(one, policy=kept, prevent_cse=False)
        state, (outputs, factors) = lax.scan(one, state, (shifts, inputs))
        return (state, outputs), factors

    shifts = {name: jnp.zeros((length, rows, m.shape[-1])) for name, m in matrices.items()}
    results, pull, factors = jax.vjp(shifted, shifts, fixed, state, inputs, has_aux=True)
    return results, (matrices, factors, pull)


def _fast_backward(step, residuals, gradients):
    matrices, factors, pull = residuals
    product_gradients, *others = pull(gradients)

    def of_matrix(name):
        x_TBE, gradient_TBF = factors[name], product_gradients[name]
        if matrices[name].ndim == 2:
            return fold(x_TBE).T @ fold(gradient_TBF)
        return jnp.einsum("tbe,tbf->bef", x_TBE, gradient_TBF)

    return {name: of_matrix(name) for name in matrices}, *others


fast.defvjp(_fast_forward, _fast_backward)


def _product(matrices: Matrices, name: str, x_BE: jax.Array) -> jax.Array:
    matrix = matrices[name]
    if matrix.ndim == 2:
        return x_BE @ matrix
    return jnp.einsum("be,bef->bf", x_BE, matrix)
