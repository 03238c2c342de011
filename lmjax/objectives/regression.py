"""Predict the number of a source, such as how alike two sentences are."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lmjax.data.batch import Batch
from lmjax.data.batching import Batching
from lmjax.data.context import ContextPolicy
from lmjax.data.number_tokenizer import NumberTokenizer, values_of
from lmjax.data.streams import TokenStream
from lmjax.errors import UserError
from lmjax.models.contract import Carry, LanguageModel
from lmjax.objectives.classification import check_one_token
from lmjax.objectives.contract import Objective, Outcome


@dataclass(frozen=True)
class Regression(Objective):
    """Nats of a normal distribution of deviation 1 about what is told: half the squared error.

    And the same for all, so that nats tell the squared error. The number is its document's text.
    """

    serves = ("source",)
    needs_source = True
    batchings = ("documents",)
    scores_text = False

    @staticmethod
    def derived_fields(tokenizer: Any) -> dict[str, Any]:
        if not isinstance(tokenizer.target, NumberTokenizer):
            raise UserError(
                "objective 'regression' tells numbers, and the targets are tokens of a text; set "
                "data.tokenizer='number' and data.source_tokenizer to that of the sources"
            )
        return {}

    def check(self, data: Any, model: LanguageModel) -> None:
        if not getattr(model, "tells_numbers", False):
            raise UserError(
                "objective 'regression' needs a model that tells a number; set "
                "model.name='classifier'"
            )
        # Not where a model is built: runs were trained so, and are to be loaded.
        if model.siamese == "cosine" and model.dropout:
            raise UserError(
                "model.siamese 'cosine' has no head for dropout to act on; set model.dropout=0.0"
            )

    def nats_of(self, model: LanguageModel) -> str:
        return "normal_of_deviation_1"

    def row_length(self, data: Any) -> int:
        return 1

    def row_targets(self, data: Any) -> int:
        return 1

    def batching(self, stream: TokenStream, data: Any, seed: int) -> Batching:
        check_one_token(stream, "number")
        return super().batching(stream, data, seed)

    def evaluation_batches(
        self, stream: TokenStream, policy: ContextPolicy, batch_size: int
    ) -> Iterator[tuple[Batch, np.ndarray]]:
        check_one_token(stream, "number")
        yield from super().evaluation_batches(stream, policy, batch_size)

    def predict(
        self, model: LanguageModel, params: Any, batch: Batch, carry: Carry, **context: Any
    ) -> tuple[jax.Array, None, Carry]:
        numbers_BT1, carry = model.apply(
            params, batch.tokens_BT, carry, **batch.inputs(), **context
        )
        error_BT = numbers_BT1[..., 0] - values_of(batch.targets_BT)
        return -0.5 * (jnp.square(error_BT) + math.log(2 * math.pi)), None, carry

    def __call__(
        self, model: LanguageModel, params: Any, batch: Batch, carry: Carry, **context: Any
    ) -> Outcome:
        """The squared error is among the measures."""
        outcome = super().__call__(model, params, batch, carry, **context)
        nats = outcome.nats / jnp.maximum(outcome.counts["tokens"], 1)
        return outcome.replace(measures={"squared_error": 2 * nats - math.log(2 * math.pi)})
