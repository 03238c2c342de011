"""Batches of pairs of words and how often they stand near each other."""

import functools

import numpy as np

from lmjax.data.batch import CACHED_EPOCHS, Batch, Draw, ceil_divide
from lmjax.data.batching import Batching
from lmjax.data.cooccurrences import Cooccurrences
from lmjax.data.streams import TokenStream


class CooccurrenceBatches(Batching):
    """All cells of a table once an epoch, in an order that is a function of `(seed, epoch)`.

    `tokens_BT` are their rows, `targets_BT` their columns and `weights_BT` their counts. An epoch's
    last batch is filled up with cells of the count 0.
    """

    def __init__(self, cells: Cooccurrences, stream: TokenStream, data, seed: int):
        super().__init__(stream, data, seed)
        self.cells = cells
        self.steps_per_epoch = ceil_divide(len(cells.counts_N), self.rows * self.length)
        self._order = functools.lru_cache(CACHED_EPOCHS)(self._shuffle)

    def batch(self, step: int) -> Batch:
        epoch, step = divmod(step, self.steps_per_epoch)
        size = self.rows * self.length
        order_N = self._order(epoch)[step * size : (step + 1) * size]

        def taken(column_N: np.ndarray) -> np.ndarray:
            filled_N = np.zeros(size, column_N.dtype)
            filled_N[: len(order_N)] = column_N[order_N]
            return filled_N.reshape(self.rows, self.length)

        return Batch(
            tokens_BT=taken(self.cells.rows_N),
            targets_BT=taken(self.cells.columns_N),
            weights_BT=taken(self.cells.counts_N),
            segment_ids_BT=None,
            positions_BT=None,
            continues_B=np.zeros(self.rows, bool),
        )

    def distinct_targets(self, steps: int) -> int:
        return len(self.stream.tokens_N)  # all were read to be counted

    def _shuffle(self, epoch: int) -> np.ndarray:
        generator = np.random.default_rng((self.seed, Draw.CELL_ORDER, epoch))
        return generator.permutation(np.arange(len(self.cells.counts_N), dtype=np.int32))
