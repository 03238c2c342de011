"""Scores of slots that stand beside each token, moved to where their slots stand in a row."""

import jax
import jax.numpy as jnp


def skew(scores: jax.Array) -> jax.Array:
    """`scores` ending in TN, of such ending in TS: slot s of token t goes to column t + s.

    N = T + S - 1; all other columns are zeros. It is a copy and gathers nothing (the relative shift
    of Dai et al. 2019, appendix B).
    """
    *rows, length, slots = scores.shape
    count = length + slots - 1
    # One column more than N: read in rows of N, each row stands one column further right.
    padded = jnp.pad(scores, [(0, 0)] * (scores.ndim - 1) + [(0, count + 1 - slots)])
    return padded.reshape(*rows, -1)[..., : length * count].reshape(*rows, length, count)
