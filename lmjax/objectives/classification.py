"""Predict the label of a source."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lmjax.data.batch import Batch
from lmjax.data.batching import Batching
from lmjax.data.context import ContextPolicy
from lmjax.data.document_batches import document_lengths
from lmjax.data.streams import TokenStream
from lmjax.errors import UserError
from lmjax.objectives.contract import Objective


@dataclass(frozen=True)
class Classification(Objective):
    """Minus the log-probability of a label, which is the one token of its document's text."""

    serves = ("source",)
    needs_source = True
    batchings = ("documents",)
    tells_right = True

    def nats_of(self, model) -> str:
        return "conditional"

    def row_length(self, data) -> int:
        """A label is one token."""
        return 1

    def row_targets(self, data) -> int:
        return 1

    def batching(self, stream: TokenStream, data, seed: int) -> Batching:
        _check_labels(stream)
        return super().batching(stream, data, seed)

    def evaluation_batches(
        self, stream: TokenStream, policy: ContextPolicy, batch_size: int
    ) -> Iterator[tuple[Batch, np.ndarray]]:
        _check_labels(stream)
        yield from super().evaluation_batches(stream, policy, batch_size)


def _check_labels(stream: TokenStream) -> None:
    lengths_M = document_lengths(stream)
    if (lengths_M != 1).any():
        number = int(np.argmax(lengths_M != 1))
        raise UserError(
            f"the label of document {number + 1} has {lengths_M[number]} tokens, and a label is "
            "one; set data.document_end to False and, for labels of several letters, "
            "data.tokenizer to 'word' and data.source_tokenizer to that of the sentences"
        )
