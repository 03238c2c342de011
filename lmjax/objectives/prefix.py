"""Predict a target with a causal model that has read its source in the same row."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lmjax.data.batch import Array, Batch
from lmjax.data.context import ContextPolicy
from lmjax.data.document_batches import document_lengths, source_lengths
from lmjax.data.streams import TokenStream
from lmjax.errors import UserError
from lmjax.models.contract import LanguageModel
from lmjax.objectives.contract import Objective, empty_batch


@dataclass(frozen=True)
class Prefix(Objective):
    """Source, separator and target in one row, weights on the target only (Liu et al. 2018).

    The separator is the token that stands before every target, so that the targets, and what is
    scored, are the same as those of an encoder-decoder.
    """

    serves = ("past",)
    needs_source = True
    translates = True
    batchings = ("documents",)

    def nats_of(self, model: LanguageModel) -> str:
        return "conditional"

    def prepare(self, batch: Batch, generator: np.random.Generator) -> Batch:
        return join(batch)[0]

    def example_batch(self, data: Any) -> Batch:
        return empty_batch(self.row_length(data))

    def row_length(self, data: Any) -> int:
        return data.source_length + data.length

    def prompts(
        self, sources: Sequence[Sequence[int]], start_id: int, longest: int | None
    ) -> tuple[list[list[int]], dict[str, Array]]:
        """Source and separator, in one row with the target."""
        return [[*source, start_id] for source in sources], {}

    def evaluation_batches(
        self, stream: TokenStream, policy: ContextPolicy, batch_size: int
    ) -> Iterator[tuple[Batch, np.ndarray]]:
        batches = super().evaluation_batches(stream, policy, batch_size)
        longest = int((document_lengths(stream) + source_lengths(stream)).max())
        if longest > policy.longest:
            raise UserError(
                f"a source of the split and its target have {longest} tokens together, and "
                f"{policy.longest} is the most that is read at once; give the model a longer "
                "context"
            )
        for batch, places_BT in batches:
            joined, columns_BT = join(batch)
            yield joined, np.take_along_axis(places_BT, columns_BT, axis=1)


def join(batch: Batch) -> tuple[Batch, np.ndarray]:
    """Rows of S + T tokens, each source followed by its target, and `columns_BT` of the targets.

    Columns of the source and of the padding have weight 0.
    """
    read_BN = np.concatenate([batch.source_BS, batch.tokens_BT], axis=1)
    targets_BN = np.concatenate([batch.source_BS, batch.targets_BT], axis=1)
    weights_BN = np.concatenate([np.zeros_like(batch.source_weights_BS), batch.weights_BT], axis=1)
    source_length, length = batch.source_BS.shape[1], read_BN.shape[1]
    read_B = batch.source_weights_BS.sum(axis=1).astype(int)[:, None]  # before the target
    columns_N = np.arange(length)[None, :]
    # Columns of the source stay; the padding after them is closed up, and left at the row's end.
    from_BN = np.where(columns_N < read_B, columns_N, columns_N + source_length - read_B)
    exists_BN = from_BN < length
    from_BN = np.where(exists_BN, from_BN, length - 1)

    def taken(array_BN):
        return np.take_along_axis(array_BN, from_BN, axis=1)

    joined = batch.replace(
        tokens_BT=np.where(exists_BN, taken(read_BN), 0),
        targets_BT=np.where(exists_BN, taken(targets_BN), 0),
        weights_BT=np.where(exists_BN, taken(weights_BN), np.float32(0)),
        source_BS=None,
        source_weights_BS=None,
    )
    return joined, np.maximum(from_BN - source_length, 0)
