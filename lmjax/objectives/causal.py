"""Predict each token from those before it: a batch and a model to nats."""

from typing import Any

import jax
import jax.numpy as jnp

from lmjax.data.batch import Batch
from lmjax.models.contract import Carry, LanguageModel


def causal_nats(
    model: LanguageModel, params: Any, batch: Batch, carry: Carry, **context: Any
) -> tuple[jax.Array, Carry]:
    """`nats, carry`: minus the weighted sum of the targets' log-probabilities, and what follows."""
    log_probs_BT, carry = model.apply(
        params,
        batch.tokens_BT,
        batch.targets_BT,
        carry,
        segment_ids_BT=batch.segment_ids_BT,
        positions_BT=batch.positions_BT,
        method="log_probs",
        **context,
    )
    return -jnp.sum(log_probs_BT * batch.weights_BT), carry
