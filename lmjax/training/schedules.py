"""The learning rate of each step, from `config.training`."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from lmjax.errors import UserError, nearest
from lmjax.training.durations import Clock

Schedule = Callable[[jax.Array], jax.Array]


def make_schedule(training: ConfigDict, clock: Clock) -> Schedule:
    """The learning rate of step 0, 1, ...; raises UserError for an unknown schedule.

    `epoch_decay` multiplies by `decay_factor` at the end of each epoch that ends later than
    `decay_after` (Zaremba et al. 2014, as their published code has it); `plateau` is constant here:
    the loop scales it by validation.
    """
    peak = training.learning_rate
    warmup = clock.steps(training.warmup)
    undecayed = clock.steps(training.decay_after) // clock.steps_per_epoch  # ends of epochs

    def epoch_decay(step):
        decays = jnp.maximum(0, step // clock.steps_per_epoch - undecayed)
        return peak * training.decay_factor**decays

    def cosine(step):
        progress = jnp.clip((step - warmup) / max(1, clock.total_steps - warmup), 0.0, 1.0)
        floor = training.final_learning_rate
        return floor + 0.5 * (peak - floor) * (1 + jnp.cos(jnp.pi * progress))

    schedules = {
        "constant": lambda step: jnp.full((), peak),
        "plateau": lambda step: jnp.full((), peak),
        "cosine": cosine,
        "epoch_decay": epoch_decay,
    }
    if training.schedule not in schedules:
        hint = nearest(training.schedule, schedules)
        raise UserError(f"unknown training.schedule {training.schedule!r}: {hint}")
    after_warmup = schedules[training.schedule]

    def schedule(step):
        warming = peak * (step + 1) / (warmup + 1)
        return jnp.where(step < warmup, warming, after_warmup(step)).astype(jnp.float32)

    return schedule
