"""Batches whose rows go on where they ended in the step before, with the state that they carry."""

import functools

import numpy as np

from lmjax.data.batch import (
    CACHED_EPOCHS,
    Batch,
    Draw,
    ceil_divide,
    contiguous_batch,
    row_borders,
)
from lmjax.data.batching import Batching
from lmjax.data.streams import TokenStream
from lmjax.data.varied_lengths import count_lengths, draw_lengths
from lmjax.errors import UserError, nearest

RESETS = ("random", "documents", "none")
# A model that is read from an empty state must have been trained from one, all through training:
# without, a state that only grows has never been small since the first steps. One row-step in 32
# makes that a part of about every batch, and leaves the state alone for 32 steps on average, so
# that long states, too, are seen as they will be. Lamb, the code of Melis et al. (2018), has the
# same as its option `drop_state_probability`.
RESET_PROBABILITY = 1 / 32


class StreamBatches(Batching):
    """The stream in `batch_size` rows, from its beginning to its end in every epoch.

    The carried state of all rows starts anew with each epoch; and by `resets`, `random`: that of a
    row with RESET_PROBABILITY at each step, a function of `(seed, step, row)`; `documents`: where a
    document begins; `none`: never else. With `length_deviation`, the rows' lengths are a function
    of `(seed, epoch)`, see `draw_lengths`.
    """

    def __init__(self, stream: TokenStream, data, seed: int):
        if data.resets not in RESETS:
            raise UserError(f"unknown data.resets {data.resets!r}: {nearest(data.resets, RESETS)}")
        super().__init__(stream, data, seed)
        self.resets = data.resets
        self.columns = ceil_divide(len(stream.tokens_N), self.rows)
        self.deviation = data.length_deviation
        self.steps_per_epoch = ceil_divide(self.columns, self.length)
        if self.deviation:
            self.steps_per_epoch = count_lengths(self.columns, self.length)
        self._borders = functools.lru_cache(CACHED_EPOCHS)(self._draw_borders)

    @staticmethod
    def fewest_tokens(data) -> int:
        return data.batch_size

    @staticmethod
    def lengths_vary(data) -> bool:
        return data.length_deviation > 0

    @property
    def tokens_per_step(self) -> int:
        if not self.deviation:
            return super().tokens_per_step
        return round(self.rows * self.columns / self.steps_per_epoch)

    def batch(self, step: int) -> Batch:
        epoch, place = divmod(step, self.steps_per_epoch)
        begin, end = self._borders(epoch)[place : place + 2]
        by_document = self.resets == "documents"
        batch = contiguous_batch(self.stream, self.rows, begin, end - begin, by_document)
        if self.resets != "random":
            return batch
        draws_B = np.random.default_rng((self.seed, Draw.RESETS, step)).random(self.rows)
        return batch.replace(continues_B=batch.continues_B & (draws_B >= RESET_PROBABILITY))

    def distinct_targets(self, steps: int) -> int:
        sizes_B = np.diff(row_borders(self.stream, self.rows))
        seen = self._borders(0)[min(steps, self.steps_per_epoch)]
        return int(np.minimum(sizes_B, seen).sum())

    def _draw_borders(self, epoch: int) -> list[int]:
        """The columns at which each step of the epoch begins, and where the last one ends."""
        if not self.deviation:
            return [step * self.length for step in range(self.steps_per_epoch + 1)]
        generator = np.random.default_rng((self.seed, Draw.LENGTHS, epoch))
        lengths_S = draw_lengths(self.columns, self.length, self.deviation, generator)
        return [0, *lengths_S.cumsum().tolist()]
