"""Rotary positions: queries and keys turned by their position (Su et al. 2021, section 3.2.2)."""

import jax
import jax.numpy as jnp

BASE = 10_000.0  # the longest wavelength is about 2 pi times as many tokens


def angles(positions_BT: jax.Array, width: int, base: float = BASE) -> jax.Array:
    """`angle_BTN` of each of N = K / 2 pairs of K = `width` numbers (equation 15).

    It may lead with 1 in place of B, as positions do.
    """
    frequency_N = base ** (-jnp.arange(0, width, 2) / width)
    return positions_BT[..., None] * frequency_N[None, None, :]


def rotate(x_BTHK: jax.Array, angle_BTN: jax.Array) -> jax.Array:
    """`x_BTHK`, of which number n of the first half and of the second are turned as one pair.

    Su et al. pair neighbours: the same but for the order of the numbers. It computes in float32.
    """
    x, y = jnp.split(x_BTHK.astype(angle_BTN.dtype), 2, axis=-1)
    cos, sin = jnp.cos(angle_BTN)[:, :, None], jnp.sin(angle_BTN)[:, :, None]
    turned_BTHK = jnp.concatenate([x * cos - y * sin, y * cos + x * sin], axis=-1)
    return turned_BTHK.astype(x_BTHK.dtype)
