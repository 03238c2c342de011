"""Batches of a token stream, for training and for scoring; each a pure function of its index.

The k-th target of a stream is `tokens_N[k]`; what is read before it is `tokens_N[k - 1]`, and
`start_id` before the first target of the stream (in `packed`: of each document).
"""

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import grain
import numpy as np

from lmjax.data.batch import Batch
from lmjax.data.streams import TokenStream
from lmjax.errors import UserError, nearest

ENDLESS = 1 << 40  # steps, more than any training takes
PREFETCHED = 4  # batches
WINDOWS, DOCUMENTS = range(2)  # what a random draw is for


@dataclass(frozen=True)
class ContextPolicy:
    """How much text a model has read when it is scored on a target; every target is scored once.

    `carried`: the stream in `rows` contiguous rows, each of which is read to its end with one
    carry. `windowed`: windows of `window` tokens, each read anew; the first is scored on all its
    targets, the next ones, `stride` further each, on their last `stride`.
    """

    kind: str = "carried"  # carried | windowed
    rows: int = 1  # carried
    window: int = 0  # windowed, in tokens
    stride: int = 0  # windowed, in tokens; 0: the window
    chunk: int = 128  # carried: tokens a batch, which the score does not depend on

    def __post_init__(self):
        if self.kind not in ("carried", "windowed"):
            known = nearest(self.kind, ("carried", "windowed"))
            raise UserError(f"unknown evaluation.context {self.kind!r}: {known}")
        if self.kind == "carried" and (self.rows < 1 or self.chunk < 1):
            raise UserError(f"evaluation.rows is {self.rows}; give at least 1")
        if self.kind == "windowed" and not (self.window > 0 and 0 <= self.stride <= self.window):
            raise UserError(
                f"evaluation.window is {self.window} and stride {self.stride}; "
                "give a window of at least 1 and a stride from 1 to the window"
            )

    @property
    def name(self) -> str:
        """What a metric's name says of the context."""
        if self.kind == "windowed":
            return f"windowed_{self.window}_stride_{self.stride or self.window}"
        return "carried" if self.rows == 1 else f"carried_{self.rows}_rows"


def training_batches(stream: TokenStream, data, seed: int) -> grain.DatasetIterator:
    """An endless iterator over the batches of `config.data`, read ahead by `data.read_threads`.

    Element i is the batch of step i, a function of `(seed, i)` alone; `get_state()` is one integer,
    `{"next_index": i}`. `stream`: each row goes on where it ended in the step before. `windows`:
    random windows, drawn with replacement. `packed`: documents in an order of each epoch's own,
    one after the other, cut into windows. Raises UserError for a stream that is too short.
    """
    batches = grain.MapDataset.source(_Steps(_batch_function(stream, data, seed)))
    options = grain.ReadOptions(num_threads=data.read_threads, prefetch_buffer_size=PREFETCHED)
    return iter(batches.to_iter_dataset(options))


def steps_per_epoch(stream: TokenStream, data) -> int:
    """Steps in which as many targets are seen as the stream has; raises as `training_batches`."""
    _check_fits(stream, data)
    targets = len(stream.tokens_N)
    if data.batching == "stream":
        return _ceil(_ceil(targets, data.batch_size), data.length)
    return _ceil(targets, data.batch_size * data.length)


def evaluation_batches(
    stream: TokenStream, policy: ContextPolicy, batch_size: int
) -> Iterator[Batch]:
    """Batches in which each target of the stream has weight 1 exactly once.

    Rows of a batch: `policy.rows` if the carry is carried, else `batch_size` windows. Raises
    UserError for a stream that is shorter than the rows or than a window.
    """
    targets = len(stream.tokens_N)
    if policy.kind == "carried":
        if targets < policy.rows:
            raise UserError(
                f"{targets} tokens cannot fill {policy.rows} rows; lower evaluation.rows"
            )
        for step in range(_ceil(_ceil(targets, policy.rows), policy.chunk)):
            yield _contiguous_batch(stream, policy.rows, policy.chunk, step)
        return
    if targets < policy.window:
        raise UserError(
            f"the split has {targets} tokens, fewer than the window of {policy.window}; "
            "lower evaluation.window (or data.length), or take a larger corpus"
        )
    windows = 1 + _ceil(targets - policy.window, policy.stride or policy.window)
    for first in range(0, windows, batch_size):
        yield _window_batch(stream, policy, np.arange(first, first + batch_size))


class _Steps:
    """The random-access source that grain reads: all steps of a training that never ends."""

    def __init__(self, batch_of_step: Callable[[int], Batch]):
        self._batch_of_step = batch_of_step

    def __len__(self) -> int:
        return ENDLESS

    def __getitem__(self, step: int) -> Batch:
        return self._batch_of_step(step)


def _batch_function(stream: TokenStream, data, seed: int) -> Callable[[int], Batch]:
    rows, length = data.batch_size, data.length
    steps = steps_per_epoch(stream, data)
    seed %= 1 << 64  # numpy takes no negative ones
    if data.batching == "stream":
        return lambda step: _contiguous_batch(stream, rows, length, step % steps)
    if data.batching == "windows":
        return lambda step: _random_batch(stream, rows, length, (seed, WINDOWS, step))
    order = functools.lru_cache(2)(lambda epoch: _shuffled(stream, (seed, DOCUMENTS, epoch)))
    return lambda step: _packed_batch(stream, order(step // steps), rows, length, step % steps)


def _contiguous_batch(stream: TokenStream, rows: int, length: int, step: int) -> Batch:
    """Columns `step * length` and on of the stream in `rows` rows, equally long but for one."""
    borders = np.arange(rows + 1) * len(stream.tokens_N) // rows
    targets_BT = borders[:-1, None] + step * length + np.arange(length)[None, :]
    exists_BT = targets_BT < borders[1:, None]
    return _gather(stream, targets_BT, exists_BT, continues=step > 0)


def _random_batch(stream: TokenStream, rows: int, length: int, draw: tuple[int, ...]) -> Batch:
    starts_B = np.random.default_rng(draw).integers(len(stream.tokens_N) - length + 1, size=rows)
    targets_BT = starts_B[:, None] + np.arange(length)[None, :]
    return _gather(stream, targets_BT, np.full(targets_BT.shape, True))


def _window_batch(stream: TokenStream, policy: ContextPolicy, windows_B: np.ndarray) -> Batch:
    stride = policy.stride or policy.window
    columns_T = np.arange(policy.window)
    targets_BT = windows_B[:, None] * stride + columns_T[None, :]
    new_BT = (windows_B[:, None] == 0) | (columns_T[None, :] >= policy.window - stride)
    batch = _gather(stream, targets_BT, targets_BT < len(stream.tokens_N))
    return batch.replace(weights_BT=batch.weights_BT * new_BT)


@dataclass(frozen=True)
class _Shuffled:
    """The M documents of a stream one after the other in another order."""

    begins_M: np.ndarray  # where each begins in that row
    ends_M: np.ndarray
    starts_M: np.ndarray  # where each begins in the stream


def _shuffled(stream: TokenStream, draw: tuple[int, ...]) -> _Shuffled:
    lengths_M = np.diff(stream.document_starts_M, append=len(stream.tokens_N))
    order_M = np.random.default_rng(draw).permutation(len(lengths_M))
    ends_M = np.cumsum(lengths_M[order_M])
    begins_M = ends_M - lengths_M[order_M]
    return _Shuffled(begins_M, ends_M, stream.document_starts_M[order_M])


def _packed_batch(
    stream: TokenStream, shuffled: _Shuffled, rows: int, length: int, step: int
) -> Batch:
    places_BT = step * rows * length + np.arange(rows * length).reshape(rows, length)
    document_BT = np.searchsorted(shuffled.ends_M, places_BT, side="right")
    exists_BT = document_BT < len(shuffled.ends_M)
    known_BT = np.where(exists_BT, document_BT, 0)
    offsets_BT = places_BT - shuffled.begins_M[known_BT]
    batch = _gather(
        stream,
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


def _gather(
    stream: TokenStream,
    targets_BT: np.ndarray,
    exists_BT: np.ndarray,
    begins_BT: np.ndarray | None = None,
    continues: bool = False,
) -> Batch:
    """The batch of the targets at the given places; 0, with weight 0, where `exists_BT` is not."""
    places_BT = np.where(exists_BT, targets_BT, 0)
    begins_BT = places_BT == 0 if begins_BT is None else begins_BT
    before_BT = stream.tokens_N[np.maximum(places_BT - 1, 0)]
    return Batch(
        tokens_BT=np.where(begins_BT, np.int32(stream.start_id), before_BT),
        targets_BT=np.where(exists_BT, stream.tokens_N[places_BT], np.int32(0)),
        weights_BT=exists_BT.astype(np.float32),
        segment_ids_BT=None,
        positions_BT=None,
        continues_B=np.full(len(places_BT), continues),
    )


def _check_fits(stream: TokenStream, data) -> None:
    if data.batching not in ("stream", "windows", "packed"):
        known = nearest(data.batching, ("stream", "windows", "packed"))
        raise UserError(f"unknown data.batching {data.batching!r}: {known}")
    if data.batch_size < 1 or data.length < 1:
        raise UserError(
            f"data.batch_size is {data.batch_size} and data.length {data.length}; "
            "give at least 1 each"
        )
    least = {"stream": data.batch_size, "windows": data.length, "packed": 1}[data.batching]
    if len(stream.tokens_N) < least:
        raise UserError(
            f"the training split has {len(stream.tokens_N)} tokens, too few for data.batch_size "
            f"{data.batch_size} and data.length {data.length}; lower them or take a larger corpus"
        )


def _ceil(numerator: int, denominator: int) -> int:
    return -(-numerator // denominator)
