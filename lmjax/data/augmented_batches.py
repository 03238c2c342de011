"""Batches of documents whose sources are shown changed."""

import numpy as np

from lmjax.data.augmentation import AugmentedStream
from lmjax.data.batch import Batch, Draw
from lmjax.data.batching import Batching, WrappedBatches
from lmjax.data.document_batches import DocumentBatches, bucket_length
from lmjax.errors import UserError


class AugmentedBatches(WrappedBatches):
    """The batches of documents, with their sources as an augmentation shows them.

    That is a function of `(seed, epoch, document)`; targets are not touched. Raises UserError for
    batches that are not of documents.
    """

    def __init__(self, inner: Batching, stream: AugmentedStream, data, seed: int):
        super().__init__(inner, seed)
        if not isinstance(inner, DocumentBatches):
            raise UserError(
                f"data.augmentation and data.paraphrases change the sources of documents, and "
                f"data.batching {data.batching!r} reads none; set it to 'documents'"
            )
        self._longest = data.source_length
        self._augmentation = stream.augmentation

    def batch(self, step: int) -> Batch:
        batch, epoch = self._inner.batch(step), step // self.steps_per_epoch
        shown = [
            self._augmentation.shown(
                document, np.random.default_rng((self.seed, Draw.AUGMENTATION, epoch, document))
            )
            for document in self._inner.documents_of(step).tolist()
        ]
        columns = min(bucket_length(max(map(len, shown))), self._longest)
        source_BS = np.zeros((len(batch.source_BS), columns), np.int32)
        weights_BS = np.zeros(source_BS.shape, np.float32)
        for row, ids_S in enumerate(shown):
            source_BS[row, : len(ids_S)], weights_BS[row, : len(ids_S)] = ids_S, 1
        return batch.replace(source_BS=source_BS, source_weights_BS=weights_BS)

    def remarks(self) -> list[str]:
        return self._inner.remarks() + self._augmentation.remarks()
