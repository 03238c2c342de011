"""Attention scores that know how far apart two tokens stand.

Biases learned for each distance (Raffel et al. 2020, section 2.1), or ALiBi (Press et al. 2022).
"""

from dataclasses import dataclass

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jax.nn.initializers import Initializer

from lmjax.errors import UserError


@flax.struct.dataclass
class PositionBias:
    """What is added to the scores of each head, by the distance from who reads to what is read.

    Of 2 R + 1 entries the middle one is that of distance 0; further ones than R are read as R.
    """

    by_distance_NH: jax.Array

    def __call__(self, distance_BTS: jax.Array) -> jax.Array:
        """`bias_BHTS`; may lead with 1 in place of B, as the distances do."""
        farthest = len(self.by_distance_NH) // 2
        index_BTS = jnp.clip(distance_BTS, -farthest, farthest) + farthest
        return jnp.moveaxis(jnp.take(self.by_distance_NH, index_BTS, axis=0), -1, 1)


@dataclass(frozen=True)
class Alibi:
    """Minus the distance, times a slope for each head (Press et al. 2022, section 3)."""

    heads: int

    @property
    def slope_H(self) -> np.ndarray:
        """A geometric series from 2^(-8 / n) to 2^-8 for n heads.

        Where n is no power of two, the series of the power below, then every second one of twice
        as many, as in its authors' code.
        """
        power = 2 ** int(np.log2(self.heads))
        slope_H = 2.0 ** (-8 / power * np.arange(1, power + 1))
        between_H = 2.0 ** (-4 / power * np.arange(1, 2 * power, 2))
        return np.concatenate([slope_H, between_H[: self.heads - power]]).astype(np.float32)

    def __call__(self, distance_BTS: jax.Array) -> jax.Array:
        """`bias_BHTS`; may lead with 1 in place of B, as the distances do."""
        return -self.slope_H[None, :, None, None] * jnp.abs(distance_BTS)[:, None]


class RelativePosition(nn.Module):
    """A learned number for each head and bucket of distances, shared by the layers of a stack.

    Raises UserError for too few buckets, or more than there are distances.
    """

    heads: int
    buckets: int
    farthest: int  # from here on all distances are one
    both_sides: bool  # False: what is read never comes later than who reads
    initializer: Initializer

    def __post_init__(self):
        super().__post_init__()
        if self.buckets < 4 or self.farthest <= self.buckets // 2:
            raise UserError(
                f"model.position_buckets {self.buckets} of distances up to "
                f"model.position_farthest {self.farthest}: give at least 4, of which half are one "
                "distance each, and a distance beyond those"
            )

    @nn.compact
    def __call__(self) -> PositionBias:
        initializer = nn.with_logical_partitioning(self.initializer, ("position", None))
        table_NH = self.param("embedding", initializer, (self.buckets, self.heads))
        distance_N = np.arange(-self.farthest, self.farthest + 1)
        return PositionBias(
            table_NH[bucket_of(distance_N, self.buckets, self.farthest, self.both_sides)]
        )


def bucket_of(distance_N: np.ndarray, buckets: int, farthest: int, both_sides: bool) -> np.ndarray:
    """The bucket of each distance: one each for half of them, then wider by a constant factor.

    With `both_sides`, the first half of the buckets are for what comes before, the second for what
    comes after; without, all that comes after shares the bucket of distance 0.
    """
    if both_sides:
        later_N = np.where(distance_N > 0, buckets // 2, 0)
        return later_N + _one_sided(np.abs(distance_N), buckets // 2, farthest)
    return _one_sided(np.maximum(-distance_N, 0), buckets, farthest)


def _one_sided(distance_N: np.ndarray, buckets: int, farthest: int) -> np.ndarray:
    exact = buckets // 2
    # In float32, as those who trained with it did: at the borders it decides.
    beyond_N = np.log(np.maximum(distance_N, 1).astype(np.float32) / np.float32(exact))
    beyond_N = beyond_N / np.float32(np.log(farthest / exact)) * np.float32(buckets - exact)
    wide_N = np.minimum(exact + beyond_N.astype(np.int32), buckets - 1)
    return np.where(distance_N < exact, distance_N, wide_N)
