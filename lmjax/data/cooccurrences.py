"""How often words stand near each other: counted once, and kept in the cache."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lmjax.data.cache import build_once, cache_directory, key_of
from lmjax.data.streams import TokenStream
from lmjax.errors import UserError

COUNTING = 1  # raise it when a change of the code changes what is counted


@dataclass(frozen=True)
class Cooccurrences:
    """The N cells above zero of a symmetric table of words, ordered by row and column."""

    rows_N: np.ndarray  # int32
    columns_N: np.ndarray  # int32
    counts_N: np.ndarray  # float32


def _keys(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """A number for each pair of words, in the order of rows and then of columns."""
    return (rows.astype(np.int64) << 32) | columns


def cooccurrences(stream: TokenStream, window: int) -> Cooccurrences:
    """The counts of a stream, in which words d <= `window` apart add 1/d, in both directions.

    Pennington et al. 2014, section 4.2. No pair reaches from one document into another. Raises
    UserError for a stream that has no pair.
    """
    if window < 1:
        raise UserError(f"a window of {window} words holds no pair; give at least 1")
    key = key_of([COUNTING, stream.fingerprint, window])
    folder = cache_directory() / "cooccurrences" / key
    build_once(folder, lambda temporary: _write(temporary, count_cooccurrences(stream, window)))
    return Cooccurrences(
        *(
            np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
            for name in ("rows", "columns", "counts")
        )
    )


def count_cooccurrences(stream: TokenStream, window: int) -> Cooccurrences:
    """As `cooccurrences`, counted now."""
    words_N = stream.tokens_N
    places_N = np.arange(len(words_N))
    document_N = np.searchsorted(stream.document_starts_M, places_N, side="right")
    keys, counts = [], []
    for distance in range(1, min(window, len(words_N) - 1) + 1):
        first_N, second_N = words_N[:-distance], words_N[distance:]
        together_N = document_N[:-distance] == document_N[distance:]
        pairs_N = _keys(first_N, second_N)[together_N]
        found_N, times_N = np.unique(pairs_N, return_counts=True)
        keys += [found_N, _keys(*_words(found_N)[::-1])]
        counts += [times_N / distance] * 2
    keys_N = np.concatenate(keys) if keys else np.zeros(0, np.int64)
    if not len(keys_N):
        raise UserError("no document has two words, so none stand near each other")
    order_N = np.argsort(keys_N, kind="stable")
    keys_N = keys_N[order_N]
    starts_N = np.flatnonzero(np.diff(keys_N, prepend=-1))
    sums_N = np.add.reduceat(np.concatenate(counts)[order_N], starts_N)
    return Cooccurrences(*_words(keys_N[starts_N]), sums_N.astype(np.float32))


def _words(keys_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rows and columns that `_keys` was given, int32."""
    return (keys_N >> 32).astype(np.int32), (keys_N & 0xFFFFFFFF).astype(np.int32)


def _write(folder: Path, counted: Cooccurrences) -> None:
    np.save(folder / "rows.npy", counted.rows_N)
    np.save(folder / "columns.npy", counted.columns_N)
    np.save(folder / "counts.npy", counted.counts_N)
