"""Averaged parameters: the mean of those after each step, from some step on.

Polyak and Juditsky (1992). When it begins may be told by validation: NT-ASGD of Merity et al.
(2018), algorithm 1.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from lmjax.errors import UserError, nearest
from lmjax.training.state import Averaging, TrainState

AVERAGINGS = ("none", "triggered", "from_start")


def check_averaging(training: ConfigDict) -> None:
    """Raises UserError for an unknown averaging."""
    if training.averaging not in AVERAGINGS:
        hint = nearest(training.averaging, AVERAGINGS)
        raise UserError(f"unknown training.averaging {training.averaging!r}: {hint}")


def triggers(before: Sequence[float], now: float, patience: int) -> bool:
    """Whether a validation loss of `now` is worse than the best but for the last `patience`."""
    older = before[: max(0, len(before) - patience)]
    return bool(older) and now > min(older)


def averaged(state: TrainState, iterate: Any) -> TrainState:
    """The state after a step that led to the parameters `iterate`."""
    averaging = state.averaging
    if averaging is None:
        return replace(state, params=iterate)
    count = averaging.count + (averaging.count > 0)

    def mean(average, new):
        nearer = average + (new - average) / jnp.maximum(count, 1)
        return jnp.where(count > 0, nearer, new)

    return replace(
        state,
        params=jax.tree.map(mean, state.params, iterate),
        averaging=Averaging(iterate, count),
    )
