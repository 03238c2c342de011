"""One vector for all tokens or rows, and one number for all features of each."""

import jax
import jax.numpy as jnp


def at_each_token(vector_D: jax.Array, x_BTD: jax.Array) -> jax.Array:
    """`vector_D` beside each vector of x, so that the two can be multiplied.

    Its gradient is one sum over B and T. That of `vector_D[None, None]` is one over T alone if B is
    1, which takes XLA on CPU up to 80 times as long.
    """
    return jnp.broadcast_to(vector_D, x_BTD.shape)


def for_each_row(parameter: jax.Array, rows: int) -> jax.Array:
    """The parameter once for each row, with B before its dimensions, for a loop over time.

    So its gradient is summed over rows once, after the loop, and not at each time: where rows are
    spread over devices, that would be a sum over devices at each time.
    """
    return jnp.broadcast_to(parameter, (rows, *parameter.shape))


def beside(of_tokens_BT: jax.Array, leaf: jax.Array) -> jax.Array:
    """`of_tokens_BT` with as many dimensions as `leaf`, which leads with the same ones."""
    return of_tokens_BT.reshape(of_tokens_BT.shape + (1,) * (leaf.ndim - of_tokens_BT.ndim))
