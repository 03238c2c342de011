"""Batches whose rows are whole documents, each with its source, of about one length."""

import functools

import numpy as np

from lmjax.data.batch import CACHED_EPOCHS, Batch, Draw, ceil_divide, gather
from lmjax.data.batching import Batching
from lmjax.data.streams import TokenStream
from lmjax.errors import UserError

POOLED = 64  # batches whose documents are sorted by length together
SHORTEST_BUCKET = 8  # tokens


class DocumentBatches(Batching):
    """Every document once an epoch, in an order that is a function of `(seed, epoch)`.

    POOLED batches at a time are sorted by the lengths of source and target, so that little of a
    batch is padding; batches then come in a random order. Rows are as long as `bucket_length` of
    the longest says, or the limit, so that there are few shapes to compile for. Documents that are
    longer than `data.length`, or have sources longer than `data.source_length`, are left out:
    `remarks` says how many. An epoch's last batch is filled up with rows of weight 0.
    """

    def __init__(self, stream: TokenStream, data, seed: int):
        super().__init__(stream, data, seed)
        self.source_length = data.source_length
        self._limits = data.length, data.source_length
        lengths_M, sources_M = document_lengths(stream), source_lengths(stream)
        fits_M = (lengths_M <= data.length) & (sources_M <= data.source_length)
        self._kept_M = np.flatnonzero(fits_M)
        if not len(self._kept_M):
            raise UserError(
                f"no document has at most data.length {data.length} tokens and a source of at most "
                f"data.source_length {data.source_length}; raise them or choose another "
                "data.batching"
            )
        self._lengths_M, self._sources_M = lengths_M, sources_M
        self.steps_per_epoch = ceil_divide(len(self._kept_M), self.rows)
        self._order = functools.lru_cache(CACHED_EPOCHS)(self._draw_order)

    @staticmethod
    def lengths_vary(data) -> bool:
        return True

    @property
    def tokens_per_step(self) -> int:
        return max(1, int(self._lengths_M[self._kept_M].sum()) // self.steps_per_epoch)

    def batch(self, step: int) -> Batch:
        documents_N = self.documents_of(step)
        return rows_of_documents(self.stream, documents_N, self.rows, self._limits)[0]

    def distinct_targets(self, steps: int) -> int:
        if steps >= self.steps_per_epoch:
            return int(self._lengths_M[self._kept_M].sum())
        return sum(int(self._lengths_M[self.documents_of(step)].sum()) for step in range(steps))

    def remarks(self) -> list[str]:
        """How many documents are left out or cut, and what share of the first epoch is padding."""
        left_out = len(self._lengths_M) - len(self._kept_M)
        lines = []
        if self.stream.source is not None and (cut := self.stream.source.counts.cut_documents):
            lines.append(
                f"{cut:,} of {len(self._lengths_M):,} training sources are cut: they have more "
                "tokens than data.cut_sources"
            )
        if left_out:
            lines.append(
                f"{left_out:,} of {len(self._lengths_M):,} training documents are left out: more "
                f"than data.length {self.length} tokens, or a source of more than "
                f"data.source_length {self.source_length}, to which data.cut_sources can cut them"
            )
        batches = [self.documents_of(step) for step in range(self.steps_per_epoch)]
        shares = [
            f"{100 * _padding(lengths_M, batches, self.rows, limit):.1f} % of the {side}"
            for side, lengths_M, limit in (
                ("targets", self._lengths_M, self.length),
                ("sources", self._sources_M, self.source_length),
            )
            if lengths_M.any()
        ]
        return [*lines, f"padding: {' and '.join(shares)} in the first epoch's batches"]

    def documents_of(self, step: int) -> np.ndarray:
        """The documents of a step's rows, from the first row on."""
        epoch, place = divmod(step, self.steps_per_epoch)
        return self._order(epoch)[place]

    def _draw_order(self, epoch: int) -> list[np.ndarray]:
        generator = np.random.default_rng((self.seed, Draw.DOCUMENT_ORDER, epoch))
        shuffled_M = self._kept_M[generator.permutation(len(self._kept_M))]
        batches = []
        for begin in range(0, len(shuffled_M), POOLED * self.rows):
            pool_N = shuffled_M[begin : begin + POOLED * self.rows]
            pool_N = pool_N[by_length(self._lengths_M[pool_N], self._sources_M[pool_N])]
            batches += [pool_N[i : i + self.rows] for i in range(0, len(pool_N), self.rows)]
        return [batches[index] for index in generator.permutation(len(batches))]


def document_lengths(stream: TokenStream) -> np.ndarray:
    """`lengths_M`, the tokens of each document."""
    return np.diff(stream.document_starts_M, append=len(stream.tokens_N))


def source_lengths(stream: TokenStream) -> np.ndarray:
    """`lengths_M` of the documents' sources; 0 where there are none."""
    if stream.source is None:
        return np.zeros(len(stream.document_starts_M), np.int64)
    return document_lengths(stream.source)


def by_length(lengths_N: np.ndarray, sources_N: np.ndarray) -> np.ndarray:
    """The order of documents by their source's bucket, then by their length."""
    buckets_N = [bucket_length(int(source)) for source in sources_N]
    return np.lexsort((lengths_N, buckets_N))


def bucket_length(length: int) -> int:
    """The least of 8, 12, 16, 24, 32, 48, ... that is at least `length`."""
    size = SHORTEST_BUCKET
    while size < length:
        size = size * 3 // 2 if size & (size - 1) == 0 else size * 4 // 3
    return size


def rows_of_documents(
    stream: TokenStream, documents_N: np.ndarray, rows: int, limits: tuple[int, int]
) -> tuple[Batch, np.ndarray]:
    """The batch of at most `rows` documents, a row each, and `places_BT` of its targets.

    `limits` are the most columns of targets and of sources.
    """
    limit, source_limit = limits
    places_BT, exists_BT = _places(stream, documents_N, rows, limit)
    begins_BT = np.zeros_like(exists_BT)
    begins_BT[:, 0] = True
    batch = gather(stream, places_BT, exists_BT, begins_BT)
    if stream.source is not None:
        source_BS, exists_BS = _places(stream.source, documents_N, rows, source_limit)
        tokens_BS = stream.source.tokens_N[np.where(exists_BS, source_BS, 0)]
        batch = batch.replace(
            source_BS=np.where(exists_BS, tokens_BS, np.int32(0)),
            source_weights_BS=exists_BS.astype(np.float32),
        )
    return batch, places_BT


def _places(
    stream: TokenStream, documents_N: np.ndarray, rows: int, limit: int
) -> tuple[np.ndarray, np.ndarray]:
    """Where in the stream each token of the documents stands, and where there is one."""
    lengths_B, starts_B = np.zeros((2, rows), np.int64)
    lengths_B[: len(documents_N)] = document_lengths(stream)[documents_N]
    starts_B[: len(documents_N)] = stream.document_starts_M[documents_N]
    columns_T = np.arange(min(bucket_length(int(lengths_B.max())), limit))
    return starts_B[:, None] + columns_T[None, :], columns_T[None, :] < lengths_B[:, None]


def _padding(lengths_M: np.ndarray, batches: list[np.ndarray], rows: int, limit: int) -> float:
    """The share of all places of the batches that no token stands at."""
    longest = (int(lengths_M[batch_N].max()) for batch_N in batches)
    places = sum(rows * min(bucket_length(length), limit) for length in longest)
    return 1 - sum(int(lengths_M[batch_N].sum()) for batch_N in batches) / places
