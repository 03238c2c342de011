"""Batches to train on, each a pure function of its index, by the name of `data.batching`."""

from collections.abc import Callable

import grain
import numpy as np

from lmjax.data.augmentation import AugmentedStream
from lmjax.data.augmented_batches import AugmentedBatches
from lmjax.data.batch import Batch, Draw
from lmjax.data.batching import Batching, WrappedBatches
from lmjax.data.document_batches import DocumentBatches
from lmjax.data.packed_batches import PackedBatches
from lmjax.data.sentence_pair_batches import SentencePairBatches
from lmjax.data.stream_batches import StreamBatches
from lmjax.data.streams import TokenStream
from lmjax.data.synthetic.examples import ExampleBatches
from lmjax.data.window_batches import RandomWindowBatches, WindowBatches
from lmjax.errors import UserError, nearest

ENDLESS = 1 << 40  # steps, more than any training takes
PREFETCHED = 4  # batches


Prepare = Callable[[Batch, np.random.Generator], Batch]  # what an objective makes of a batch
BATCHINGS: dict[str, type[Batching]] = {
    "stream": StreamBatches,
    "windows": WindowBatches,
    "random_windows": RandomWindowBatches,
    "packed": PackedBatches,
    "documents": DocumentBatches,
    "sentence_pairs": SentencePairBatches,
    "examples": ExampleBatches,
}


def training_batches(stream: TokenStream, data, seed: int) -> grain.DatasetIterator:
    """An endless iterator over the batches of `config.data`, as they are read from the text.

    Raises UserError for fields that cannot be, and a stream that is too short.
    """
    return endless(make_batching(stream, data, seed), data)


def endless(batching: Batching, data) -> grain.DatasetIterator:
    """An endless iterator over batches, read ahead by `data.read_threads`.

    Element i is the batch of step i, a function of `(seed, i)` alone; `get_state()` is one integer,
    `{"next_index": i}`.
    """
    batches = grain.MapDataset.source(_Steps(batching))
    options = grain.ReadOptions(num_threads=data.read_threads, prefetch_buffer_size=PREFETCHED)
    return iter(batches.to_iter_dataset(options))


def make_batching(stream: TokenStream, data, seed: int) -> Batching:
    """The batching that `data` names; raises as `training_batches`."""
    if data.batching not in BATCHINGS:
        known = nearest(data.batching, BATCHINGS)
        raise UserError(f"unknown data.batching {data.batching!r}: {known}")
    if data.batch_size < 1 or data.length < 1:
        raise UserError(
            f"data.batch_size is {data.batch_size} and data.length {data.length}; "
            "give at least 1 each"
        )
    if data.resets == "documents" and data.batching != "stream":
        raise UserError(
            f"data.resets is 'documents', but data.batching {data.batching!r} carries no state "
            "that could be reset; set data.batching to 'stream' or leave data.resets out"
        )
    batching = BATCHINGS[data.batching]
    if len(stream.tokens_N) < batching.fewest_tokens(data):
        raise UserError(
            f"the training split has {len(stream.tokens_N)} tokens, too few for data.batch_size "
            f"{data.batch_size} and data.length {data.length}; lower them or take a larger corpus"
        )
    if isinstance(stream, AugmentedStream):
        return AugmentedBatches(batching(stream, data, seed), stream, data, seed)
    return batching(stream, data, seed)


class PreparedBatches(WrappedBatches):
    """Batches that are each made into another one by `prepare`.

    That is given a generator of random numbers of `(seed, step)`.
    """

    def __init__(self, inner: Batching, seed: int, prepare: Prepare):
        super().__init__(inner, seed)
        self._prepare = prepare

    def batch(self, step: int) -> Batch:
        generator = np.random.default_rng((self.seed, Draw.OBJECTIVE, step))
        return self._prepare(self._inner.batch(step), generator)


class _Steps:
    """The random-access source that grain reads: all steps of a training that never ends."""

    def __init__(self, batching: Batching):
        self._batching = batching

    def __len__(self) -> int:
        return ENDLESS

    def __getitem__(self, step: int) -> Batch:
        return self._batching.batch(step)
