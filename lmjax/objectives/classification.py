"""Predict the label of a source."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lmjax.data.batch import Batch
from lmjax.data.batching import Batching
from lmjax.data.context import ContextPolicy
from lmjax.data.document_batches import document_lengths
from lmjax.data.number_tokenizer import NumberTokenizer
from lmjax.data.streams import TokenStream
from lmjax.data.training_batches import PreparedBatches, make_batching
from lmjax.errors import UserError, nearest
from lmjax.models.contract import Carry, LanguageModel
from lmjax.nn.softmax import log_probs_and_right
from lmjax.objectives.contract import Objective, Outcome, rows_with_targets

CLASS_WEIGHTS = ("none", "balanced")


@dataclass(frozen=True)
class Classification(Objective):
    """Minus the log-probability of a label, which is the one token of its document's text.

    Nats are that, whatever is descended. With `label_smoothing`, that share of a target's
    probability is spread evenly over all labels (Szegedy et al. 2016, section 7). With
    `class_weights` that are `balanced`, a target's loss is multiplied by what all labels of the
    training text would have in common, divided by how often its own is there, so that each label
    counts as much. Raises UserError for a share out of range and unknown weights.
    """

    class_weights: str
    label_smoothing: float
    label_ids: tuple[int, ...]

    serves = ("source",)
    needs_source = True
    batchings = ("documents",)
    tells_right = True

    def __post_init__(self):
        if self.class_weights not in CLASS_WEIGHTS:
            hint = nearest(self.class_weights, CLASS_WEIGHTS)
            raise UserError(f"unknown objective.class_weights {self.class_weights!r}: {hint}")
        if not 0 <= self.label_smoothing < 1:
            raise UserError(
                f"objective.label_smoothing is {self.label_smoothing}; give at least 0 and below 1"
            )

    @staticmethod
    def derived_fields(tokenizer: Any) -> dict[str, Any]:
        if isinstance(tokenizer.target, NumberTokenizer):
            raise UserError(
                "objective 'classification' tells labels, and data.tokenizer='number' has none; "
                "set objective.name='regression' or data.tokenizer='label'"
            )
        others = {tokenizer.end_id, tokenizer.unknown_id, *tokenizer.target.special_ids.values()}
        ids = range(tokenizer.vocabulary_size)
        return {"label_ids": tuple(label for label in ids if label not in others)}

    def nats_of(self, model) -> str:
        return "labels"

    def row_length(self, data) -> int:
        """A label is one token."""
        return 1

    def row_targets(self, data) -> int:
        return 1

    def check(self, data, model: LanguageModel) -> None:
        """Raises UserError for what is to be descended of a model that is counted."""
        if model.is_counted and (self.label_smoothing or self.class_weights != "none"):
            raise UserError(
                "objective.class_weights and label_smoothing are of what is descended, and this "
                "model is counted; leave them out"
            )

    def batching(self, stream: TokenStream, data, seed: int) -> Batching:
        check_one_token(stream, "label")
        if self.class_weights == "none":
            return super().batching(stream, data, seed)
        weights_V = balanced_weights(stream.tokens_N)
        return PreparedBatches(make_batching(stream, data, seed), seed, partial(_weigh, weights_V))

    def __call__(
        self, model: LanguageModel, params: Any, batch: Batch, carry: Carry, **context: Any
    ) -> Outcome:
        """What is descended beside the nats is the extra of that name."""
        logits_BTV, carry = model.apply(params, batch.tokens_BT, carry, **batch.inputs(), **context)
        log_probs_BT, is_right_BT = log_probs_and_right(logits_BTV, batch.targets_BT)
        nats = -jnp.sum(log_probs_BT * batch.weights_BT)
        counts = {
            "tokens": batch.weights_BT.sum(),
            "sequences": rows_with_targets(batch.weights_BT),
            "right": jnp.sum(is_right_BT * batch.weights_BT),
        }
        extras, descended_BT = {}, log_probs_BT
        if self.label_smoothing:
            normalized_BTV = jax.nn.log_softmax(logits_BTV.astype(jnp.float32))
            even_BT = normalized_BTV[..., jnp.array(self.label_ids)].mean(axis=-1)
            descended_BT += self.label_smoothing * (even_BT - descended_BT)
        if batch.class_weights_BT is not None:
            descended_BT *= batch.class_weights_BT
        if descended_BT is not log_probs_BT:
            total = -jnp.sum(descended_BT * batch.weights_BT)
            extras["smoothed_and_weighed"] = (total - nats) / jnp.maximum(counts["tokens"], 1)
        return Outcome(nats, counts, carry, extras)

    def evaluation_batches(
        self, stream: TokenStream, policy: ContextPolicy, batch_size: int
    ) -> Iterator[tuple[Batch, np.ndarray]]:
        check_one_token(stream, "label")
        yield from super().evaluation_batches(stream, policy, batch_size)


def balanced_weights(labels_N: np.ndarray) -> np.ndarray:
    """`weights_V` of labels by their ids, N / (K n) of one that is there n times, of K that are.

    Their mean over all targets is 1. A label that is not there has 0.
    """
    counts_V = np.bincount(labels_N)
    mean = len(labels_N) / np.count_nonzero(counts_V)
    return np.where(counts_V > 0, mean / np.maximum(counts_V, 1), 0).astype(np.float32)


def _weigh(weights_V: np.ndarray, batch: Batch, generator: np.random.Generator) -> Batch:
    return batch.replace(class_weights_BT=weights_V[batch.targets_BT] * batch.weights_BT)


def check_one_token(stream: TokenStream, what: str) -> None:
    """Raises UserError for a document whose text is not one token, `what` it is to be."""
    lengths_M = document_lengths(stream)
    if (lengths_M != 1).any():
        number = int(np.argmax(lengths_M != 1))
        raise UserError(
            f"the {what} of document {number + 1} has {lengths_M[number]} tokens, and a {what} is "
            "one; set data.document_end to False and, for labels of several letters, "
            "data.tokenizer to 'label' and data.source_tokenizer to that of the sentences"
        )
