"""From `config.training` to an optax transformation.

The transformation leaves the learning rate out: the step multiplies by it, so that it is one
number that metrics, plateau decay and replicas can see.
"""

import jax
import optax
from ml_collections import ConfigDict

from lmjax.errors import UserError, nearest


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


def _is_matrix(params):
    return jax.tree.map(lambda leaf: leaf.ndim >= 2, params)
