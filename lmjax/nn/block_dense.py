"""A matrix product with a block-diagonal matrix: groups of features that see themselves alone."""

import flax.linen as nn
import jax
from jax.nn.initializers import Initializer

from lmjax.nn.precision import wide_product


class BlockDense(nn.Module):
    """`y_BTE`, each of `blocks` equal parts of x by a square matrix of its own.

    It computes in the type of x, with sums in float32, in which `wide_output` leaves the result.
    """

    blocks: int
    initializer: Initializer
    wide_output: bool = False

    @nn.compact
    def __call__(self, x_BTE: jax.Array) -> jax.Array:
        """`y_BTE`."""
        size = x_BTE.shape[-1] // self.blocks
        initializer = nn.with_logical_partitioning(self.initializer, ("heads", "hidden", None))
        kernel_HKK = self.param("kernel", initializer, (self.blocks, size, size))
        x_NHK = x_BTE.reshape(-1, self.blocks, size)
        y_HNK = wide_product(x_NHK.swapaxes(0, 1), kernel_HKK.astype(x_BTE.dtype))
        y_BTE = y_HNK.swapaxes(0, 1).reshape(x_BTE.shape)
        return y_BTE if self.wide_output else y_BTE.astype(x_BTE.dtype)
