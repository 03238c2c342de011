"""From `config.training` to an optax transformation and a learning rate for each step.

The transformation leaves the learning rate out: the step multiplies by it, so that it is one
number that metrics, plateau decay and replicas can see.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from lmjax.errors import UserError, nearest
from lmjax.training.durations import Clock

Schedule = Callable[[jax.Array], jax.Array]


def make_optimizer(training: ConfigDict) -> optax.GradientTransformation:
    """Clipping, preconditioning and decoupled weight decay; raises UserError if unknown.

    AdamW: Loshchilov & Hutter 2019. Decay is on arrays of two or more dimensions.
    """
    preconditioners = {
        "adamw": lambda: optax.scale_by_adam(training.beta1, training.beta2, training.epsilon),
        "sgd": lambda: optax.trace(training.momentum) if training.momentum else optax.identity(),
    }
    if training.optimizer not in preconditioners:
        hint = nearest(training.optimizer, preconditioners)
        raise UserError(f"unknown training.optimizer {training.optimizer!r}: {hint}")
    steps = []
    if training.clip_value:
        steps.append(optax.clip(training.clip_value))
    if training.clip_norm:
        steps.append(optax.clip_by_global_norm(training.clip_norm))
    steps.append(preconditioners[training.optimizer]())
    if training.weight_decay:
        steps.append(optax.add_decayed_weights(training.weight_decay, mask=_is_matrix))
    return optax.chain(*steps)


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


def _is_matrix(params):
    return jax.tree.map(lambda leaf: leaf.ndim >= 2, params)
