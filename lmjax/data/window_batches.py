"""Batches of windows of the stream, each read anew."""

import functools

import numpy as np

from lmjax.data.batch import CACHED_EPOCHS, Batch, Draw, ceil_divide, gather
from lmjax.data.batching import Batching
from lmjax.data.streams import TokenStream


class WindowBatches(Batching):
    """All windows that lie side by side from an offset on, in an order of each epoch's own.

    Offset and order are functions of `(seed, epoch)`. In an epoch each target stands in one window
    at most. Up to `length - 1` targets before the first window and up to `2 * length - 2` after the
    last one are left out, others in each epoch. A batch goes on in the next epoch's order where one
    is at its end, so that all batches are full.
    """

    def __init__(self, stream: TokenStream, data, seed: int):
        super().__init__(stream, data, seed)
        room = len(stream.tokens_N) - (self.length - 1)  # for any offset
        self.windows = max(1, room // self.length)
        self.offsets = min(self.length, len(stream.tokens_N) - self.windows * self.length + 1)
        self.steps_per_epoch = ceil_divide(self.windows, self.rows)
        self._starts = functools.lru_cache(CACHED_EPOCHS)(self._draw_starts)

    @staticmethod
    def fewest_tokens(data) -> int:
        return data.length

    def batch(self, step: int) -> Batch:
        windows_B = step * self.rows + np.arange(self.rows)
        epoch_B, place_B = np.divmod(windows_B, self.windows)
        starts_B = np.concatenate(
            [self._starts(int(epoch))[place_B[epoch_B == epoch]] for epoch in np.unique(epoch_B)]
        )
        return _batch_of_windows(self.stream, starts_B, self.length)

    def distinct_targets(self, steps: int) -> int:
        epochs, rest = divmod(steps * self.rows, self.windows)
        offsets = [self._draw_offset(epoch)[0] for epoch in range(epochs)]
        seen_N = _targets_of(self.stream, self._starts(epochs)[:rest], self.length)
        if offsets:  # whole epochs overlap, so together they are one stretch
            seen_N[min(offsets) : max(offsets) + self.windows * self.length] = True
        return int(seen_N.sum())

    def _draw_offset(self, epoch: int) -> tuple[int, np.random.Generator]:
        generator = np.random.default_rng((self.seed, Draw.WINDOW_ORDER, epoch))
        return int(generator.integers(self.offsets)), generator

    def _draw_starts(self, epoch: int) -> np.ndarray:
        offset, generator = self._draw_offset(epoch)
        return offset + generator.permutation(self.windows) * self.length


class RandomWindowBatches(Batching):
    """Windows that begin anywhere, drawn with replacement: in an epoch's steps 63 % of the targets.

    The draw is a function of `(seed, step)`.
    """

    def __init__(self, stream: TokenStream, data, seed: int):
        super().__init__(stream, data, seed)
        self.steps_per_epoch = ceil_divide(len(stream.tokens_N), self.rows * self.length)

    @staticmethod
    def fewest_tokens(data) -> int:
        return data.length

    def batch(self, step: int) -> Batch:
        return _batch_of_windows(self.stream, self._draw_starts(step), self.length)

    def distinct_targets(self, steps: int) -> int:
        begins_N = np.zeros(len(self.stream.tokens_N), bool)
        for step in range(steps):
            begins_N[self._draw_starts(step)] = True
        return int(_targets_of(self.stream, np.flatnonzero(begins_N), self.length).sum())

    def _draw_starts(self, step: int) -> np.ndarray:
        starts = len(self.stream.tokens_N) - self.length + 1
        generator = np.random.default_rng((self.seed, Draw.RANDOM_WINDOWS, step))
        return generator.integers(starts, size=self.rows)


def _batch_of_windows(stream: TokenStream, starts_B: np.ndarray, length: int) -> Batch:
    targets_BT = starts_B[:, None] + np.arange(length)[None, :]
    return gather(stream, targets_BT, np.full(targets_BT.shape, True))


def _targets_of(stream: TokenStream, starts: np.ndarray, length: int) -> np.ndarray:
    """`seen_N`: whether a target stands in one of the windows."""
    seen_N = np.zeros(len(stream.tokens_N), bool)
    for column in range(length):
        seen_N[starts + column] = True
    return seen_N
