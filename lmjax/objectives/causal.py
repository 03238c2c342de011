"""Predict each token from those before it."""

from typing import Any

import jax.numpy as jnp

from lmjax.data.batch import Batch
from lmjax.models.contract import Carry, LanguageModel
from lmjax.objectives.contract import Outcome


def causal(
    model: LanguageModel, params: Any, batch: Batch, carry: Carry, **context: Any
) -> Outcome:
    """Nats are minus the weighted sum of the targets' log-probabilities."""
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
    counts = {
        "tokens": batch.weights_BT.sum(),
        "sequences": jnp.float32(batch.weights_BT.shape[0]),
    }
    return Outcome(-jnp.sum(log_probs_BT * batch.weights_BT), counts, carry, extras={})
