"""Predict each word from those near it."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from lmjax.data.batch import Batch
from lmjax.models.contract import LanguageModel
from lmjax.objectives.negative_sampling import NegativeSampling


@dataclass(frozen=True)
class ContinuousBagOfWords(NegativeSampling):
    """The mean of the input vectors near a word tells its output vector from noise.

    Mikolov et al. 2013, "Efficient estimation of word representations in vector space", section
    3.1, with negative sampling in place of the softmax.
    """

    def nats_of(self, model: LanguageModel) -> str:
        return self.named("cbow_negative_sampling", "cbow", *self.defining)

    def sums(self, model: LanguageModel, params: Any, batch: Batch) -> tuple[jax.Array, jax.Array]:
        near_BTS = self.near(batch)
        near_BT = near_BTS.sum(axis=-1)
        inputs_BSD = model.apply(params, batch.targets_BT, method="input_vectors")
        sums_BTD = jnp.einsum("bts,bsd->btd", near_BTS.astype(inputs_BSD.dtype), inputs_BSD)
        read_BTD = sums_BTD / jnp.maximum(near_BT, 1)[..., None]
        words_BTD = model.apply(params, batch.targets_BT, method="output_vectors")
        true_BT = jax.nn.log_sigmoid((read_BTD * words_BTD).sum(axis=-1))
        predicted_BT = near_BT > 0
        noise_BT = self.noise_log_probs(model, params, batch, read_BTD)
        return jnp.where(predicted_BT, true_BT + noise_BT, 0), predicted_BT.astype(jnp.int32)
