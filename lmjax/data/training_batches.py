"""Batches to train on, each a pure function of its index."""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import grain
import numpy as np

from lmjax.data.batch import Batch, ceil_divide, contiguous_batch, gather
from lmjax.data.streams import TokenStream
from lmjax.errors import UserError, nearest

ENDLESS = 1 << 40  # steps, more than any training takes
PREFETCHED = 4  # batches
WINDOWS, DOCUMENTS = range(2)  # what a random draw is for


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
        return ceil_divide(ceil_divide(targets, data.batch_size), data.length)
    return ceil_divide(targets, data.batch_size * data.length)


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
        return lambda step: contiguous_batch(stream, rows, length, step % steps)
    if data.batching == "windows":
        return lambda step: _random_batch(stream, rows, length, (seed, WINDOWS, step))
    order = functools.lru_cache(2)(lambda epoch: _shuffled(stream, (seed, DOCUMENTS, epoch)))
    return lambda step: _packed_batch(stream, order(step // steps), rows, length, step % steps)


def _random_batch(stream: TokenStream, rows: int, length: int, draw: tuple[int, ...]) -> Batch:
    starts_B = np.random.default_rng(draw).integers(len(stream.tokens_N) - length + 1, size=rows)
    targets_BT = starts_B[:, None] + np.arange(length)[None, :]
    return gather(stream, targets_BT, np.full(targets_BT.shape, True))


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
    batch = gather(
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
