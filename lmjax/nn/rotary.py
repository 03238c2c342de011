"""Rotary positions: queries and keys turned by their position (Su et al. 2021, section 3.2.2).

Scalings stretch the wavelengths for contexts that are longer than those of training.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np

from lmjax.errors import UserError, nearest

BASE = 10_000.0  # the longest wavelength is about 2 pi times as many tokens
SCALINGS = ("none", "linear", "ntk", "yarn", "llama3")

# YaRN (Peng et al. 2024, section 3.2): turns over the context of training, at which a wavelength is
# kept as it is, and at which it is stretched by the whole factor. LLaMA-3 has others.
YARN_TURNS = 32.0, 1.0
LLAMA3_TURNS = 4.0, 1.0


def frequencies(
    width: int,
    base: float = BASE,
    scaling: str = "none",
    factor: float = 1.0,
    trained_length: int = 0,
) -> np.ndarray:
    """`frequency_N`, radians a token, of each of N = K / 2 pairs of K = `width` numbers (eq. 15).

    `factor` is how many times the wavelengths are longer: all of them (`linear`, Chen et al. 2023),
    the longest alone, by another base (`ntk`), or those that are long beside the `trained_length`
    (`yarn`, Peng et al. 2024; `llama3`, Grattafiori et al. 2024). Raises UserError for an unknown
    scaling, an odd width, and values that make no sense of it.
    """
    if width < 2 or width % 2:
        raise UserError(
            f"rotary positions turn pairs, and a head has {width} numbers to be turned; change "
            "model.width, model.heads or the mixer's head_width or rotary_share"
        )
    if base <= 1:
        raise UserError(f"rotary_base is {base}; it is above 1")
    if scaling not in SCALINGS:
        raise UserError(f"unknown rotary_scaling {scaling!r}: {nearest(scaling, SCALINGS)}")
    if factor < 1 or (scaling == "none" and factor != 1):
        raise UserError(
            f"rotary_factor is {factor} with rotary_scaling {scaling!r}; it is 1 for 'none' and at "
            "least 1 for others"
        )
    if scaling in ("yarn", "llama3") and trained_length < 1:
        raise UserError(f"rotary_scaling {scaling!r} needs rotary_trained_length, in tokens")
    exponent_N = np.arange(0, width, 2) / width
    if scaling == "ntk":
        base *= factor ** (width / max(width - 2, 1))
    frequency_N = base**-exponent_N
    if scaling == "linear":
        return frequency_N / factor
    if scaling == "llama3":
        high, low = LLAMA3_TURNS
        turns_N = trained_length * frequency_N / (2 * math.pi)
        kept_N = np.clip((turns_N - low) / (high - low), 0, 1)
    elif scaling == "yarn":
        # Between two pairs, as in its authors' code; their paper's ramp is over turns.
        first, last = (
            width * math.log(trained_length / (turns * 2 * math.pi)) / (2 * math.log(base))
            for turns in YARN_TURNS
        )
        first, last = max(math.floor(first), 0), min(math.ceil(last), width - 1)
        kept_N = 1 - np.clip((np.arange(width // 2) - first) / max(last - first, 1e-3), 0, 1)
    else:
        return frequency_N
    return frequency_N * (kept_N + (1 - kept_N) / factor)


def size(scaling: str, factor: float) -> float:
    """What YaRN multiplies turned queries and keys by (Peng et al. 2024, equation 22)."""
    return 0.1 * math.log(factor) + 1 if scaling == "yarn" else 1.0


def angles(positions_BT: jax.Array, width: int, base: float = BASE) -> jax.Array:
    """`angle_BTN` of each of N = K / 2 pairs of K = `width` numbers (equation 15).

    It may lead with 1 in place of B, as positions do.
    """
    return turned_by(positions_BT, frequencies(width, base))


def turned_by(positions_BT: jax.Array, frequency_N: np.ndarray) -> jax.Array:
    """`angle_BTN` at these frequencies, in float32."""
    return positions_BT[..., None] * jnp.asarray(frequency_N, jnp.float32)[None, None, :]


def rotate(x_BTHK: jax.Array, angle_BTN: jax.Array, size: float = 1.0) -> jax.Array:
    """`x_BTHK`, of which number n of the first half and of the second are turned as one pair.

    Su et al. pair neighbours: the same but for the order of the numbers. It computes in float32.
    Numbers beyond the first 2 N of a head are left as they are, those turned are `size` times as
    large.
    """
    turned = 2 * angle_BTN.shape[-1]
    x, y = jnp.split(x_BTHK[..., :turned].astype(angle_BTN.dtype), 2, axis=-1)
    cos, sin = (size * wave(angle_BTN)[:, :, None] for wave in (jnp.cos, jnp.sin))
    parts = [(x * cos - y * sin), (y * cos + x * sin)]
    whole = [part.astype(x_BTHK.dtype) for part in parts]
    return jnp.concatenate([*whole, x_BTHK[..., turned:]], axis=-1)
