"""The learning rate of each step, from `config.training`."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from lmjax.errors import UserError, nearest
from lmjax.training.durations import Clock, parse_duration
from lmjax.training.state import Hyperparameters

Schedule = Callable[[jax.Array, Hyperparameters], jax.Array]


def hyperparameters_of(training: ConfigDict, clock: Clock, dropout: float = 0.0) -> Hyperparameters:
    """The numbers of schedule, optimizer and model; `clock` knows the whole duration.

    Raises UserError for a warm-up that is longer.
    """
    warmup_steps = clock.steps(training.warmup)
    if warmup_steps > clock.total_steps:
        raise UserError(
            f"training.warmup {training.warmup!r} is {warmup_steps:,} steps, longer than the "
            f"whole training of {clock.total_steps:,}; give a shorter one"
        )
    return Hyperparameters(
        learning_rate=np.float32(training.learning_rate),
        final_learning_rate=np.float32(training.final_learning_rate),
        weight_decay=np.float32(training.weight_decay),
        dropout=np.float32(dropout),
        warmup_steps=np.int32(warmup_steps),
        total_steps=np.int32(clock.total_steps),
    )


def make_schedule(training: ConfigDict, clock: Clock) -> Schedule:
    """The learning rate of step 0, 1, ...; raises UserError for an unknown schedule.

    `epoch_decay` multiplies by `decay_factor` at the end of each epoch that ends later than
    `decay_after` (Zaremba et al. 2014, as their published code has it); `plateau` is constant here:
    the loop scales it by validation.
    """
    undecayed = _whole_epochs(training.decay_after, clock)

    def progress(step, numbers):
        """From 0 at the end of the warm-up to 1 at the end of the training."""
        steps = jnp.maximum(1, numbers.total_steps - numbers.warmup_steps)
        return jnp.clip((step - numbers.warmup_steps) / steps, 0.0, 1.0)

    def constant(step, numbers):
        return numbers.learning_rate

    def epoch_decay(step, numbers):
        decays = jnp.maximum(0, step // clock.steps_per_epoch - undecayed)
        return numbers.learning_rate * training.decay_factor**decays

    def cosine(step, numbers):
        floor = numbers.final_learning_rate
        height = 0.5 * (1 + jnp.cos(jnp.pi * progress(step, numbers)))
        return floor + (numbers.learning_rate - floor) * height

    def linear(step, numbers):
        floor = numbers.final_learning_rate
        return floor + (numbers.learning_rate - floor) * (1 - progress(step, numbers))

    schedules = {
        "constant": constant,
        "plateau": constant,
        "cosine": cosine,
        "epoch_decay": epoch_decay,
        "linear": linear,
    }
    if training.schedule not in schedules:
        hint = nearest(training.schedule, schedules)
        raise UserError(f"unknown training.schedule {training.schedule!r}: {hint}")
    after_warmup = schedules[training.schedule]

    def schedule(step, numbers):
        warming = numbers.learning_rate * (step + 1) / (numbers.warmup_steps + 1)
        rate = jnp.where(step < numbers.warmup_steps, warming, after_warmup(step, numbers))
        return rate.astype(jnp.float32)

    return schedule


def _whole_epochs(duration: str, clock: Clock) -> int:
    """How many epochs end within a duration."""
    steps = clock.steps(duration)
    amount, unit = parse_duration(duration)
    # Rounded to steps, a part of an epoch could be a whole one.
    return int(amount) if unit == "epochs" else steps // clock.steps_per_epoch
