"""From token streams to the counts of all their n-grams, in sorted arrays.

The places of a text are held in the order of the n-grams that begin there. They are put in the
order of n-grams one token longer a few rows at a time: the places of each row, sorted by the token
that follows. So time grows as the text does, but for a logarithm, and what is held beside the
counts is 13 bytes a token: the text, its reach, the places, and the row at each place.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import isqrt

import numpy as np

from lmjax.errors import UserError

CHUNK = 1 << 20  # places or rows that are worked on at a time; changes no result
MOST_TOKENS = 2_000_000_000  # places and rows are int32


@dataclass(frozen=True)
class Counts:
    """The n-grams of one order that occur, N rows of them, sorted by context and last token.

    The contexts are the M rows one order below, and a single one for order 1. The count of an
    n-gram is its occurrences for the longest order; below, the number of distinct tokens seen
    before it plus its occurrences before which nothing can be seen: at the start of a stream and,
    with sentence boundaries, after <eos>.
    """

    starts_M: np.ndarray  # the first row of each context; then the end of the last one's rows
    words_N: np.ndarray  # the last token
    suffixes_N: np.ndarray  # row of the n-gram without its first token, one order below
    counts_N: np.ndarray


def join_streams(streams: Iterable, end_id: int, order: int) -> tuple[np.ndarray, np.ndarray]:
    """`tokens_S, reach_S`: each stream after its start token; how many tokens each one sees.

    A token sees all tokens before it in its stream, across documents, but none before the last
    `end_id` (-1: no token ends a sentence); from `order` on, its reach is `order`. A start token is
    no target: its reach is 0. Raises UserError for more than MOST_TOKENS.
    """
    tokens, reaches = [np.zeros(0, np.int32)], [np.zeros(0, np.min_scalar_type(order))]
    for stream in streams:
        tokens.append(np.concatenate([[stream.start_id], stream.tokens_N], dtype=np.int32))
        reaches.append(_reach(tokens[-1], end_id, order))
    if (total := sum(tokens_T.size for tokens_T in tokens)) > MOST_TOKENS:
        raise UserError(
            f"n-grams are counted in {MOST_TOKENS:,} tokens at most, and the training split has "
            f"{total:,}; train on a part of it"
        )
    return np.concatenate(tokens), np.concatenate(reaches)


def _reach(tokens_T: np.ndarray, end_id: int, most: int) -> np.ndarray:
    reach_T = np.full(tokens_T.size, most, np.min_scalar_type(most))
    ends = np.append(0, np.flatnonzero(tokens_T == end_id))
    for distance in range(most - 1, 0, -1):  # from the nearest end, which is written last
        reach_T[ends[ends < tokens_T.size - distance] + distance] = distance
    reach_T[0] = 0
    return reach_T


def count_ngrams(
    tokens_S: np.ndarray, reach_S: np.ndarray, order: int, vocabulary_size: int
) -> Iterator[Counts]:
    """The counts of orders 1 to `order`; order 1 has a row for every word of the vocabulary.

    Each is given as soon as it is known, and not kept here.
    """
    words_N = np.arange(vocabulary_size, dtype=np.int32)
    starts_M, suffixes_N = np.array([0, vocabulary_size], np.int32), np.zeros_like(words_N)
    if order == 1:
        counts_N = np.bincount(tokens_S[reach_S > 0], minlength=vocabulary_size)
        yield Counts(starts_M, words_N, suffixes_N, np.int32(counts_N))
        return
    places = _Places(tokens_S, reach_S, vocabulary_size)
    del tokens_S, reach_S  # to be let go of with the places, before the longest order is worked on
    for length in range(1, order):
        counts_N, longer = places.extend()
        if length < order - 1:
            places.number_rows()
        else:
            occurrences_N = np.diff(places.edges_N)
            del places
        yield Counts(starts_M, words_N, suffixes_N, counts_N)
        starts_M, words_N, suffixes_N = longer
    yield Counts(starts_M, words_N, suffixes_N, occurrences_N)


class _Places:
    """Where the n-grams of one length begin in a text: its places in the order of their rows."""

    def __init__(self, tokens_S: np.ndarray, reach_S: np.ndarray, vocabulary_size: int):
        self._tokens_S, self._reach_S = tokens_S, reach_S
        self._vocabulary_size, self._length = vocabulary_size, 1
        self._row_S = tokens_S.copy()  # of the n-gram that begins here
        self._places_P = np.int32(sort_stably(tokens_S)[1])
        self.edges_N = edges(np.bincount(tokens_S, minlength=vocabulary_size))  # of rows in these

    def extend(self) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """`counts_N` of the n-grams, and `starts_M, words_N, suffixes_N` of those one longer.

        They are as in `Counts`. The places are those of the longer ones from now on.
        """
        counts_N = np.zeros(self.edges_N.size - 1, np.int32)
        if self._length > 1:  # every target sees one token at least
            ends = np.flatnonzero(self._reach_S == self._length - 1)
            np.add.at(counts_N, self._row_S[ends - (self._length - 1)], np.int32(1))
        columns = [[np.zeros(0, np.int32)] for _ in range(4)]
        filled, most = 0, min(CHUNK, isqrt((1 << 63) // self._vocabulary_size))
        for first, last in ranges(self.edges_N, most):
            place_P, *parts = self._extended(first, last)
            self._places_P[filled : filled + place_P.size] = place_P
            filled += place_P.size
            np.add.at(counts_N, parts[0], np.int32(1))
            for column, part in zip(columns, parts, strict=True):
                column.append(np.int32(part))
        # One by one, so that no more than one is held twice.
        suffixes_N, words_N, sizes_N, rows_M = (np.concatenate(columns.pop(0)) for _ in range(4))
        self._places_P, self.edges_N = self._places_P[:filled], edges(sizes_N)
        self._length += 1
        return counts_N, (edges(rows_M), words_N, suffixes_N)

    def _extended(self, first: int, last: int) -> tuple[np.ndarray, ...]:
        """From the rows from `first` to before `last`, the n-grams one longer.

        Their places; of each its suffix, last word and number of places; how many each row has.
        """
        edges_R, length = self.edges_N[first : last + 1], self._length
        place_P = self._places_P[edges_R[0] : edges_R[-1]]
        context_P = np.repeat(np.arange(last - first), np.diff(edges_R))
        # The reach of the first place is 0: nothing follows the last one.
        goes_on_P = self._reach_S.take(place_P + length, mode="wrap") >= length
        place_P, context_P = place_P[goes_on_P], context_P[goes_on_P]
        keys_P = context_P * self._vocabulary_size + self._tokens_S[place_P + length]
        keys_P, order_P = sort_stably(keys_P)
        place_P = place_P[order_P]
        new_L = np.flatnonzero(np.diff(keys_P, prepend=-1))
        contexts_L, words_L = np.divmod(keys_P[new_L], self._vocabulary_size)
        suffixes_L, sizes_L = self._row_S[place_P[new_L] + 1], np.diff(new_L, append=keys_P.size)
        extensions_R = np.bincount(contexts_L, minlength=last - first)
        return place_P, suffixes_L, words_L, sizes_L, extensions_R

    def number_rows(self) -> None:
        """Notes for each place the row that it belongs to, which `extend` needs."""
        for first, last in ranges(self.edges_N, CHUNK):
            edges_R = self.edges_N[first : last + 1]
            rows = np.repeat(np.arange(first, last, dtype=np.int32), np.diff(edges_R))
            self._row_S[self._places_P[edges_R[0] : edges_R[-1]]] = rows


def sort_stably(keys_P: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The keys in order, and where each of them stood; the largest, times their number, fits 2^64.

    Sorting both in one integer is many times faster than `argsort`.
    """
    bits = keys_P.size.bit_length()
    packed_P = keys_P.astype(np.uint64) << np.uint64(bits)
    packed_P |= np.arange(keys_P.size, dtype=np.uint64)
    packed_P.sort()
    order_P = (packed_P & np.uint64((1 << bits) - 1)).view(np.int64)
    packed_P >>= np.uint64(bits)
    return packed_P.view(np.int64), order_P


def edges(sizes_N: np.ndarray) -> np.ndarray:
    """Where each of consecutive groups begins, and at last where they end; int32."""
    edges_N = np.zeros(sizes_N.size + 1, np.int32)
    np.cumsum(sizes_N, out=edges_N[1:])
    return edges_N


def ranges(edges_N: np.ndarray, most: int) -> Iterator[tuple[int, int]]:
    """Ranges of groups, `first` to before `last`: at most so many with so many members, or one."""
    first, groups = 0, edges_N.size - 1
    while first < groups:
        limit = np.int32(min(int(edges_N[first]) + most, edges_N[-1]))
        within = int(np.searchsorted(edges_N, limit, side="right")) - 1
        last = max(first + 1, min(within, first + most, groups))
        yield first, last
        first = last
