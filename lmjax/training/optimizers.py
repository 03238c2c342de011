"""From `config.training` to an optax transformation.

The transformation leaves the learning rate out: the step multiplies by it, so that it is one
number that metrics, plateau decay and replicas can see. Weight decay may be given to each update.
"""

from typing import Any

import flax.linen as nn
import jax
import optax
from ml_collections import ConfigDict

from lmjax.errors import UserError, nearest
from lmjax.models.stack import LAYERS
from lmjax.nn.mixture_of_experts import EXPERTS
from lmjax.training.leaf_groups import frozen_leaves, layer_factors


def make_optimizer(training: ConfigDict, params: Any) -> optax.GradientTransformation:
    """Clipping, preconditioning and decoupled weight decay; raises UserError if unknown.

    Parameters that `training.frozen` names stay as they are, have no moments and no share in the
    norm that is clipped; `training.layer_decay` makes lower layers' learning rates smaller.

    `params` may be abstract, and tell by the names of their axes which of them decay, as
    `decayed` says. AdamW: Loshchilov & Hutter 2019; AdaGrad: Duchi et al. 2011.
    """
    preconditioners = {
        "adamw": lambda: optax.scale_by_adam(training.beta1, training.beta2, training.epsilon),
        "adagrad": lambda: optax.scale_by_rss(0.0, training.epsilon),
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
    steps.append(optax.masked(_decay(training.weight_decay), decayed(params)))
    optimizer = optax.chain(*steps)
    if training.frozen:
        kinds = {"trained": optimizer, "frozen": optax.set_to_zero()}
        frozen = frozen_leaves(params, training.frozen)
        labels = jax.tree.map(lambda leaf: "frozen" if leaf else "trained", frozen)
        optimizer = optax.multi_transform(kinds, labels)
    if training.layer_decay != 1:
        optimizer = optax.chain(optimizer, _scaled(layer_factors(params, training.layer_decay)))
    return optimizer


def _decay(default: float) -> optax.GradientTransformationExtraArgs:
    """Adds `weight_decay`, which an update may be given in place of the default, times parameters.

    As an array it leaves the compiled step the same.
    """

    def update(direction, state, params, *, weight_decay=default, **_):
        return jax.tree.map(lambda d, p: d + weight_decay * p, direction, params), state

    return optax.GradientTransformationExtraArgs(lambda _: optax.EmptyState(), update)


def _scaled(factors: Any) -> optax.GradientTransformation:
    """Each leaf's direction times its factor."""
    return optax.stateless(
        lambda direction, _: jax.tree.map(lambda d, factor: d * factor, direction, factors)
    )


def decayed(params: Any) -> Any:
    """A tree of whether weight decay is on each parameter: on matrices, not on biases and norms.

    A matrix has two or more logical axes beside `layers` and `experts`; without names, two or more
    dimensions.
    """

    def is_matrix(leaf):
        if isinstance(leaf, nn.Partitioned):
            return sum(name not in (None, LAYERS, EXPERTS) for name in leaf.names) >= 2
        return leaf.ndim >= 2

    return jax.tree.map(is_matrix, params, is_leaf=lambda leaf: isinstance(leaf, nn.Partitioned))
