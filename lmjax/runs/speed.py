"""How fast this machine is at what models mostly do: products of matrices."""

import statistics
import time

import jax
import jax.numpy as jnp

SIZE = 1024  # of the square matrices


def product_flops_per_second(repeats: int = 20) -> float:
    """Of a product of two 1024 x 1024 float32 matrices, by the median time of `repeats`."""
    square = jnp.ones((SIZE, SIZE), jnp.float32)
    product = jax.jit(jnp.matmul)
    product(square, square).block_until_ready()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        product(square, square).block_until_ready()
        times.append(time.perf_counter() - start)
    return 2 * SIZE**3 / statistics.median(times)
