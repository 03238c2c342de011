"""What texts share with the text that a model was trained on, found by hashes of all its windows.

Memory is 4 bytes for each code (a character or a word) of the training text and some 100 MB beside;
time is linear in it for each length that is looked at.
"""

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np

BORDER = 0  # the code between two documents, and of a word that no sample has
CHUNK = 1 << 20  # windows that are hashed at once
BUCKET_BITS = 22
BASE = 0x9E3779B97F4A7C15  # odd, so that it has an inverse modulo 2**64
INVERSE = pow(BASE, -1, 1 << 64)


class Copy(NamedTuple):
    """The longest run of a text that also stands in the training text."""

    start: int
    length: int


class TrainingText:
    """The codes of all documents that were trained on, in one row with a BORDER after each."""

    def __init__(self, documents: Iterable[np.ndarray]):
        border = np.array([BORDER], np.int32)
        pieces = chain.from_iterable((codes_N, border) for codes_N in documents)
        self._codes_N = np.concatenate([border, *pieces])

    def has(self, hashes_K: np.ndarray, length: int) -> np.ndarray:
        """`has_K`, for the hashes of windows of that length: whether it stands in the text.

        Two windows of one hash are taken for one: of all that are compared, about one in 2**64 is.
        """
        in_bucket = np.zeros(1 << BUCKET_BITS, bool)
        in_bucket[_buckets(hashes_K)] = True
        found = [np.zeros(0, np.uint64)]
        for begin in range(0, len(self._codes_N) - length + 1, CHUNK):
            hashes_N = window_hashes(self._codes_N[begin : begin + CHUNK + length - 1], length)
            found.append(np.unique(hashes_N[in_bucket[_buckets(hashes_N)]]))
        return np.isin(hashes_K, np.concatenate(found))


def window_hashes(codes_N: np.ndarray, length: int) -> np.ndarray:
    """A hash of each window of `length` codes: their polynomial in BASE, modulo 2**64."""
    powers_N = _powers(BASE, len(codes_N))
    prefixes_N = np.zeros(len(codes_N) + 1, np.uint64)
    np.cumsum(codes_N.astype(np.uint64) * powers_N, out=prefixes_N[1:])
    windows = max(0, len(codes_N) - length + 1)
    sums_N = prefixes_N[length : length + windows] - prefixes_N[:windows]
    return sums_N * _powers(INVERSE, windows)


def longest_copies(texts: Sequence[np.ndarray], training: TrainingText) -> list[Copy]:
    """The longest run of each text that stands in the training text, by bisection of its length."""
    low_M = np.zeros(len(texts), np.int64)
    high_M = np.array([len(codes_N) for codes_N in texts], np.int64)
    starts_M = np.zeros(len(texts), np.int64)
    while (low_M < high_M).any():
        middle_M = (low_M + high_M + 1) // 2
        for length in np.unique(middle_M[low_M < high_M]).tolist():
            group = np.flatnonzero((middle_M == length) & (low_M < high_M))
            hashes = [window_hashes(texts[index], length) for index in group]
            seen_K = training.has(np.concatenate(hashes), length)
            of_each = np.split(seen_K, np.cumsum([len(each) for each in hashes])[:-1])
            for index, seen_N in zip(group, of_each, strict=True):
                if seen_N.any():
                    low_M[index], starts_M[index] = length, np.argmax(seen_N)
                else:
                    high_M[index] = length - 1
    return [Copy(*pair) for pair in zip(starts_M.tolist(), low_M.tolist(), strict=True)]


def seen_share(texts: Sequence[np.ndarray], training: TrainingText, length: int) -> float | None:
    """The share of all windows of the texts that stand in the training text; None without any."""
    hashes_K = np.concatenate(
        [np.zeros(0, np.uint64), *(window_hashes(codes_N, length) for codes_N in texts)]
    )
    return float(training.has(hashes_K, length).mean()) if len(hashes_K) else None


def _buckets(hashes_N: np.ndarray) -> np.ndarray:
    return hashes_N >> np.uint64(64 - BUCKET_BITS)


def _powers(base: int, count: int) -> np.ndarray:
    factors_N = np.full(count, base, np.uint64)
    factors_N[:1] = 1
    return np.cumprod(factors_N)
