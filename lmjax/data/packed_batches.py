"""Batches of whole documents, one after the other, cut into rows."""

import functools
from dataclasses import dataclass

import numpy as np

from lmjax.data.batch import CACHED_EPOCHS, Batch, Draw, ceil_divide, gather
from lmjax.data.batching import Batching
from lmjax.data.streams import TokenStream


@dataclass(frozen=True)
class ShuffledDocuments:
    """The M documents of a stream one after the other in another order."""

    begins_M: np.ndarray  # where each begins in that row
    ends_M: np.ndarray
    starts_M: np.ndarray  # where each begins in the stream


class PackedBatches(Batching):
    """The documents in an order that is a function of `(seed, epoch)`, each a segment of its own.

    A document that does not fit goes on in the next row, read anew. An epoch's last batch is
    filled up with targets of weight 0.
    """

    def __init__(self, stream: TokenStream, data, seed: int):
        super().__init__(stream, data, seed)
        self.steps_per_epoch = ceil_divide(len(stream.tokens_N), self.rows * self.length)
        self._order = functools.lru_cache(CACHED_EPOCHS)(self._shuffle)

    def batch(self, step: int) -> Batch:
        epoch, step = divmod(step, self.steps_per_epoch)
        shuffled, length = self._order(epoch), self.length
        first = step * self.rows * length
        places_BT = first + np.arange(self.rows * length).reshape(self.rows, length)
        document_BT = np.searchsorted(shuffled.ends_M, places_BT, side="right")
        exists_BT = document_BT < len(shuffled.ends_M)
        known_BT = np.where(exists_BT, document_BT, 0)
        offsets_BT = places_BT - shuffled.begins_M[known_BT]
        batch = gather(
            self.stream,
            shuffled.starts_M[known_BT] + offsets_BT,
            exists_BT,
            begins_BT=offsets_BT == 0,
        )
        segment_ids_BT = document_BT - document_BT[:, :1]
        columns_T = np.arange(length)
        new_BT = np.diff(segment_ids_BT, axis=1, prepend=-1) != 0
        segment_begins_BT = np.maximum.accumulate(np.where(new_BT, columns_T[None, :], 0), axis=1)
        return batch.replace(
            segment_ids_BT=segment_ids_BT.astype(np.int32),
            positions_BT=(columns_T[None, :] - segment_begins_BT).astype(np.int32),
        )

    def distinct_targets(self, steps: int) -> int:
        return min(len(self.stream.tokens_N), steps * self.rows * self.length)

    def _shuffle(self, epoch: int) -> ShuffledDocuments:
        lengths_M = np.diff(self.stream.document_starts_M, append=len(self.stream.tokens_N))
        generator = np.random.default_rng((self.seed, Draw.DOCUMENT_ORDER, epoch))
        order_M = generator.permutation(len(lengths_M))
        ends_M = np.cumsum(lengths_M[order_M])
        begins_M = ends_M - lengths_M[order_M]
        return ShuffledDocuments(begins_M, ends_M, self.stream.document_starts_M[order_M])
