"""Predict from each word those near it."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from lmjax.data.batch import Batch
from lmjax.models.contract import LanguageModel
from lmjax.objectives.negative_sampling import NegativeSampling


@dataclass(frozen=True)
class SkipGram(NegativeSampling):
    """The input vector of a word tells the output vectors of each word near it from noise.

    Mikolov et al. 2013, equation 4: its nats are those of a pair.
    """

    def nats_of(self, model: LanguageModel) -> str:
        return self.named("skip_gram_negative_sampling", "skip_gram", *self.defining)

    def sums(self, model: LanguageModel, params: Any, batch: Batch) -> tuple[jax.Array, jax.Array]:
        read_BTD = model.apply(params, batch.targets_BT, method="input_vectors")
        others_BSD = model.apply(params, batch.targets_BT, method="output_vectors")
        scores_BTS = jnp.einsum("btd,bsd->bts", read_BTD, others_BSD)
        near_BTS = self.near(batch)
        true_BT = jnp.where(near_BTS, jax.nn.log_sigmoid(scores_BTS), 0).sum(axis=-1)
        pairs_BT = near_BTS.sum(axis=-1)
        noise_BT = self.noise_log_probs(model, params, batch, read_BTD)
        return true_BT + pairs_BT * noise_BT, pairs_BT
