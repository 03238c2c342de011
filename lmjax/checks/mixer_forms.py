"""How far a mixer's forms are apart: by steps, in parallel, in chunks; and what leaks between
tokens that must not see each other."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from lmjax.mixers.contract import Mixer
from lmjax.mixers.registry import mixer_maker

ROWS, LENGTH, FIRST_CHUNK, WIDTH, HEADS = 2, 23, 9, 16, 4
BEGINS_BT = np.zeros((ROWS, LENGTH), bool)
BEGINS_BT[:, 0] = BEGINS_BT[0, [1, 6, 15]] = BEGINS_BT[1, 12] = True  # of segments


@dataclass(frozen=True)
class Differences:
    """The largest difference of each kind, relative to the largest number compared."""

    forms: float  # of y and the carry, in parallel against step after step
    chunks: float  # of them, read in two chunks against at once
    gradients: float  # in parallel against step after step, by x and each parameter
    segments: float  # of y, each segment in one row with others against by itself
    later: float  # of y, under other later tokens
    bfloat16: float  # of y and the carry between forms and chunks, where x is of that type


def mixer_differences(
    name: str,
    options: Mapping[str, Any] = MappingProxyType({}),
    given: Mapping[str, Any] = MappingProxyType({}),
) -> Differences:
    """What a mixer's forms differ by on a few short rows.

    `given` are fields that a model gives to all of its mixers, beside those that it has anyway.
    """
    normal = nn.initializers.normal(0.4)
    fields = dict(
        width=WIDTH,
        heads=HEADS,
        bias=True,
        dropout=0.0,
        initializer=normal,
        output_initializer=normal,
    )
    make = mixer_maker(name, {}, fields | dict(given) | dict(options))
    by_step, parallel = make(form="step", parent=None), make(form="parallel", parent=None)
    generator = np.random.default_rng(0)
    x_BTD, pull_BTD = np.float32(generator.normal(size=(2, ROWS, LENGTH, WIDTH)))
    segment_ids_BT = np.cumsum(BEGINS_BT, axis=1).astype(np.int32)
    positions_BT = _positions(BEGINS_BT)
    initialize = jax.jit(parallel.init, static_argnums=5)
    boxed = initialize(jax.random.key(0), x_BTD, None, positions_BT, None, True)
    params = _far_from_zero(nn.meta.unbox(boxed), generator)

    def read(mixer, x_BTD, sizes=(LENGTH,), begin=0):
        carry, found = mixer.initial_carry(len(x_BTD), LENGTH), []
        for size in sizes:
            part = np.s_[:, begin : begin + size]
            context = positions_BT[part], segment_ids_BT[part]
            y_BTD, carry = _read(mixer, params, x_BTD[part], carry, *context)
            found.append(np.float32(y_BTD))
            begin += size
        return np.concatenate(found, axis=1), carry

    def gradients(mixer):
        def pulled(params, x_BTD):
            y_BTD, _ = mixer.apply(params, x_BTD, None, positions_BT, segment_ids_BT, True)
            return jnp.sum(y_BTD.astype(jnp.float32) * pull_BTD)

        return jax.jit(jax.grad(pulled, argnums=(0, 1)))(params, x_BTD)

    whole = read(parallel, x_BTD)
    in_two = FIRST_CHUNK, LENGTH - FIRST_CHUNK
    narrow_BTD = x_BTD.astype(jnp.bfloat16)
    narrow = read(parallel, narrow_BTD)
    return Differences(
        forms=_difference(whole, read(by_step, x_BTD)),
        chunks=_difference(whole, read(parallel, x_BTD, in_two)),
        gradients=_difference(gradients(parallel), gradients(by_step)),
        segments=_segment_difference(partial(_read, parallel, params), x_BTD, whole[0]),
        later=_later_difference(partial(read, parallel), x_BTD, whole[0]),
        bfloat16=max(
            _difference(narrow, read(by_step, narrow_BTD)),
            _difference(narrow, read(parallel, narrow_BTD, in_two)),
        ),
    )


@partial(jax.jit, static_argnums=(0,))
def _read(mixer: Mixer, params, x_BTD, carry, positions_BT, segment_ids_BT):
    return mixer.apply(params, x_BTD, carry, positions_BT, segment_ids_BT, True)


def _positions(begins_BT: np.ndarray) -> np.ndarray:
    index_BT = np.broadcast_to(np.arange(begins_BT.shape[1]), begins_BT.shape)
    return (index_BT - np.maximum.accumulate(begins_BT * index_BT, axis=1)).astype(np.int32)


def _far_from_zero(params, generator):
    """Parameters moved at random, as some begin at zero or alike in all channels."""

    def moved(leaf):
        return np.asarray(leaf) + (0.1 * generator.normal(size=leaf.shape)).astype(leaf.dtype)

    return jax.tree.map(moved, params)


def _segment_difference(read, x_BTD, whole_BTD) -> float:
    """Each segment is read as the first tokens of a row, whose others come too late to matter."""
    time_BT, found = np.arange(LENGTH, dtype=np.int32)[None], []
    for row in range(ROWS):
        borders = [*np.flatnonzero(BEGINS_BT[row]), LENGTH]
        for begin, end in zip(borders[:-1], borders[1:], strict=True):
            alone_BTD = np.roll(x_BTD[row : row + 1], -begin, axis=1)
            y_BTD = np.asarray(read(alone_BTD, None, time_BT, None)[0])
            alone_TD, together_TD = y_BTD[0, : end - begin], whole_BTD[row, begin:end]
            found.append(_difference(alone_TD, together_TD))
    return max(found)


def _later_difference(read, x_BTD, whole_BTD) -> float:
    found = []
    for time in (0, FIRST_CHUNK, LENGTH - 2):
        other_BTD = x_BTD.copy()
        other_BTD[:, time + 1 :] *= -2.0
        y_BTD, _ = read(other_BTD)
        found.append(_difference(y_BTD[:, : time + 1], whole_BTD[:, : time + 1]))
    return max(found)


def _difference(found, expected) -> float:
    """The largest one of any leaf; infinite where one of them is no number."""
    worst = 0.0
    for one, other in zip(*map(jax.tree.leaves, (found, expected)), strict=True):
        one, other = np.asarray(one, np.float64), np.asarray(other, np.float64)
        with np.errstate(invalid="ignore"):
            apart = np.where(one == other, 0.0, np.abs(one - other))
        scale = np.abs(other[np.isfinite(other)]).max(initial=0.0)
        largest = np.nan_to_num(apart, nan=np.inf).max(initial=0.0)
        worst = max(worst, float(largest / max(scale, 1e-3)))
    return worst
