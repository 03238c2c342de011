"""The type that a model computes in. Parameters, statistics and log-probabilities stay float32.

Each part computes in the type of its input, so that the model alone has to choose it.
"""

import jax
import jax.numpy as jnp

DTYPES = ("float32", "bfloat16")


def in_dtype(x: jax.Array, dtype: str) -> jax.Array:
    """`x` in a type of DTYPES; for float32 as it is: of the type of the parameters."""
    return x if dtype == "float32" else x.astype(dtype)


def wide(dtype: jnp.dtype) -> jnp.dtype:
    """The type of sums and exponentials over values of a type: float32 at least."""
    return jnp.promote_types(dtype, jnp.float32)


def wide_product(x: jax.Array, y: jax.Array) -> jax.Array:
    """`x @ y`, summed and given in the wide type; x and y agree in all but their last two sizes."""
    if x.dtype == wide(x.dtype):
        return x @ y
    return _narrow_product(x, y)


@jax.custom_vjp
def _narrow_product(x: jax.Array, y: jax.Array) -> jax.Array:
    # JAX's own gradient would multiply wide by narrow, which is as slow as wide by wide.
    return _forward(x, y)[0]


def _forward(x, y):
    return jnp.matmul(x, y, preferred_element_type=wide(x.dtype)), (x, y)


def _backward(saved, gradient):
    x, y = saved
    gradient = gradient.astype(x.dtype)
    return gradient @ y.swapaxes(-1, -2), x.swapaxes(-1, -2) @ gradient


_narrow_product.defvjp(_forward, _backward)


@jax.jit  # by its name it is counted as the sum that it is
def sum_of_rows(x_NF: jax.Array) -> jax.Array:
    """`sum_F` over N, wide, as a product: XLA's own sum takes up to 90 times longer on CPU."""
    ones_N = jnp.ones(len(x_NF), x_NF.dtype)
    return jnp.matmul(ones_N, x_NF, preferred_element_type=wide(x_NF.dtype))
