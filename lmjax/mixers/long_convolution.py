"""A causal convolution of each channel over all tokens of its segment, in three ways.

A row has S slots, which hold the inputs u so far. A token of slot `index` reads those from where
its segment begins, `start`, up to its own. `filter_SE` leads with the distance. All in float32.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

FEW = 16  # slots that are read directly whatever the segments: as fast, and without rounding


def read_one(u_BSE, filter_SE, index_B, start_B):
    """`y_BE`, the sum of `filter[index - s] u[s]` over the slots s that a token sees."""
    distance_BS = index_B[:, None] - jnp.arange(u_BSE.shape[1])[None]
    seen_BS = (distance_BS >= 0) & (distance_BS <= (index_B - start_B)[:, None])
    filter_BSE = jnp.take(filter_SE, distance_BS, axis=0, mode="clip")
    return jnp.sum(jnp.where(seen_BS[..., None], filter_BSE * u_BSE, 0.0), axis=1)


def read_many(u_BSE, filter_SE, index_BT, start_BT, whole):
    """`y_BTE`: `read_one` for each of T tokens that follow each other.

    By Fourier transforms in S log S steps if the tokens of a row are of one segment, which `whole`
    says to be sure, and else is asked of the rows when they are read; if not, in S T steps. What a
    token reads of later ones by transforms is rounding: some 1e-7 of the largest.
    """
    inputs = u_BSE, filter_SE, index_BT, start_BT
    if u_BSE.shape[1] <= FEW:
        return _direct(*inputs)
    if whole:
        return _transformed(*inputs)
    return lax.cond(jnp.all(start_BT == start_BT[:, :1]), _transformed, _direct, *inputs)


def _transformed(u_BSE, filter_SE, index_BT, start_BT):
    slots = u_BSE.shape[1]
    seen_BS = jnp.arange(slots)[None] >= start_BT[:, :1]
    u_BSE = jnp.where(seen_BS[..., None], u_BSE, 0.0)
    transform = partial(jnp.fft.rfft, n=2 * slots)  # twice as long, so that nothing comes round
    product = transform(u_BSE, axis=1) * transform(filter_SE, axis=0)[None]
    y_BSE = jnp.fft.irfft(product, n=2 * slots, axis=1)[:, :slots]
    return jnp.take_along_axis(y_BSE, index_BT[..., None], axis=1, mode="clip")


def _direct(u_BSE, filter_SE, index_BT, start_BT):
    @jax.checkpoint
    def add(y_BTE, distance):
        slot_BT = index_BT - distance
        found_BTE = jnp.take_along_axis(u_BSE, slot_BT[..., None], axis=1, mode="clip")
        seen_BT1 = (slot_BT >= start_BT)[..., None]
        return y_BTE + jnp.where(seen_BT1, found_BTE, 0.0) * filter_SE[distance][None, None], None

    y_BTE = jnp.zeros((*index_BT.shape, u_BSE.shape[-1]), u_BSE.dtype)
    return lax.scan(add, y_BTE, jnp.arange(u_BSE.shape[1]))[0]
