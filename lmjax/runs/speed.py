"""How fast this machine is at what models mostly do: products of matrices, and reading them."""

import statistics
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp

SIZE = 1024  # of the square matrices
NUMBERS = 1 << 26  # that are read: 256 MiB, more than caches hold


def product_flops_per_second(repeats: int = 20) -> float:
    """Of a product of two 1024 x 1024 float32 matrices, by the median time of `repeats`."""
    return 2 * SIZE**3 / _seconds(lambda x: x @ x, (SIZE, SIZE), repeats)


def bytes_per_second(repeats: int = 10) -> float:
    """Of reading memory, by the median time of `repeats` sums of NUMBERS float32."""
    return 4 * NUMBERS / _seconds(jnp.sum, (NUMBERS,), repeats)


def _seconds(function: Callable, shape: tuple[int, ...], repeats: int) -> float:
    ones = jnp.ones(shape, jnp.float32)
    compiled = jax.jit(function)
    compiled(ones).block_until_ready()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        compiled(ones).block_until_ready()
        times.append(time.perf_counter() - start)
    return statistics.median(times)
