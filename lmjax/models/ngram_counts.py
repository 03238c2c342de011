"""Kneser-Ney estimation: from token streams to tables of interpolated n-gram probabilities.

The k-grams of each order k are the rows of a table of a trie, see `ngram_tables.py`. The count of a
row is its occurrences for the longest order; below, the number of distinct tokens seen before it
plus its occurrences before which nothing can be seen: at the start of a stream and, with sentence
boundaries, after <eos>.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from lmjax.models.ngram_tables import trie_table


@dataclass(frozen=True)
class Counts:
    """The n-grams of one order that occur, N of them."""

    contexts_N: np.ndarray  # row of the n-gram without its last token, one order below
    words_N: np.ndarray  # its last token
    suffixes_N: np.ndarray  # row of the n-gram without its first token, one order below
    counts_N: np.ndarray


def join_streams(streams: Iterable, end_id: int) -> tuple[np.ndarray, np.ndarray]:
    """`tokens_S, reach_S`: each stream after its start token, and how many tokens each one sees.

    A token sees all tokens before it in its stream, across documents, but none before the last
    `end_id` (-1: no token ends a sentence). A start token is no target: its reach is 0.
    """
    tokens, reaches = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for stream in streams:
        tokens_T = np.concatenate([[stream.start_id], stream.tokens_N]).astype(np.int64)
        index_T = np.arange(tokens_T.size)
        last_end_T = np.maximum.accumulate(np.where(tokens_T == end_id, index_T, 0))
        tokens.append(tokens_T)
        reaches.append(index_T - np.concatenate([[0], last_end_T[:-1]]))
    return np.concatenate(tokens), np.concatenate(reaches)


def count_ngrams(
    tokens_S: np.ndarray, reach_S: np.ndarray, order: int, vocabulary_size: int
) -> list[Counts]:
    """The counts of orders 1 to `order`; order 1 has a row for every word of the vocabulary."""
    targets = np.flatnonzero(reach_S)
    row_S = tokens_S  # of the n-gram that ends here
    contexts_N = suffixes_N = np.zeros(vocabulary_size, np.int64)
    words_N = np.arange(vocabulary_size)
    levels = []
    for length in range(1, order):
        extensible = reach_S[targets] >= length
        unextended_N = np.bincount(row_S[targets[~extensible]], minlength=words_N.size)
        targets = targets[extensible]
        keys = row_S[targets - 1] * vocabulary_size + tokens_S[targets]
        keys_M, row_of_target = number_distinct(keys, words_N.size * vocabulary_size)
        suffixes_M = np.zeros(keys_M.size, np.int64)
        suffixes_M[row_of_target] = row_S[targets]
        counts_N = unextended_N + np.bincount(suffixes_M, minlength=words_N.size)
        levels.append(Counts(contexts_N, words_N, suffixes_N, counts_N))
        contexts_N, words_N = np.divmod(keys_M, vocabulary_size)
        suffixes_N = suffixes_M
        row_S = np.zeros_like(tokens_S)
        row_S[targets] = row_of_target
    occurrences_N = np.bincount(row_S[targets], minlength=words_N.size)
    return [*levels, Counts(contexts_N, words_N, suffixes_N, occurrences_N)]


def number_distinct(keys: np.ndarray, space: int) -> tuple[np.ndarray, np.ndarray]:
    """The distinct `keys` out of range(`space`) in order, and which of them each key is."""
    if space > 4 * keys.size:
        return np.unique(keys, return_inverse=True)
    # Marking is many times faster than sorting, in a space not much larger than the keys.
    occurs = np.zeros(space, bool)
    occurs[keys] = True
    return np.flatnonzero(occurs), np.cumsum(occurs, dtype=np.int32)[keys] - 1


def discounts(counts_N: np.ndarray, smoothing: str) -> np.ndarray:
    """What is taken off counts of 0, 1, 2 and 3 or more.

    From n1..n4, how many n-grams occur so often: Ney, Essen and Kneser (1994) for `kneser_ney`;
    Chen and Goodman (1998) for `modified_kneser_ney`. An estimate that is undefined, or that takes
    nothing or all of its count, is replaced by half the count; the single one by 1/2.
    """
    numbers = [np.count_nonzero(counts_N == count) for count in range(5)]
    n1, n2 = numbers[1:3]
    single = n1 / (n1 + 2 * n2) if n1 and n2 else 0.5
    if smoothing == "kneser_ney":
        return np.array([0.0, single, single, single])
    result = np.array([0.0, 0.5, 1.0, 1.5])
    for count in (1, 2, 3):
        if n1 and n2 and numbers[count]:
            estimate = count - (count + 1) * single * numbers[count + 1] / numbers[count]
            result[count] = estimate if 0 < estimate < count else count / 2
    return result


def interpolate(
    counts: Counts, lower_probability_M: np.ndarray, smoothing: str
) -> tuple[np.ndarray, np.ndarray]:
    """`probability_N, backoff_M`: of each n-gram; the lower order's weight in each context.

    p(word | context) = (count - discount) / total of the context + backoff * p(word | shorter
    context), as in Chen and Goodman (1998). The backoff of a context never seen is 1.
    """
    contexts_N, contexts = counts.contexts_N, lower_probability_M.size
    discounts_N = discounts(counts.counts_N, smoothing)[np.minimum(counts.counts_N, 3)]
    total_M = np.bincount(contexts_N, weights=counts.counts_N, minlength=contexts)
    freed_M = np.bincount(contexts_N, weights=discounts_N, minlength=contexts)
    backoff_M = np.where(total_M > 0, freed_M / np.maximum(total_M, 1), 1.0)
    kept_N = (counts.counts_N - discounts_N) / np.maximum(total_M, 1)[contexts_N]
    return kept_N + backoff_M[contexts_N] * lower_probability_M[counts.suffixes_N], backoff_M


def estimate(
    streams: Iterable, order: int, vocabulary_size: int, smoothing: str, end_id: int
) -> dict[str, dict[str, np.ndarray]]:
    """The tables of every order, `order_1` to `order_N`, as `NGramModel` reads them.

    What was never seen has a backoff of 1. No streams at all give the uniform distribution.
    """
    levels = count_ngrams(*join_streams(streams, end_id), order, vocabulary_size)
    probability_N, _ = interpolate(levels[0], np.full(1, 1 / vocabulary_size), smoothing)
    tables = {"order_1": {"probability_N": np.float32(probability_N)}}
    for length, counts in enumerate(levels[1:], start=2):
        contexts = probability_N.size
        probability_N, backoff_M = interpolate(counts, probability_N, smoothing)
        tables[f"order_{length}"] = {
            **trie_table(counts.contexts_N, counts.words_N, contexts),
            "backoff_M": np.float32(np.append(backoff_M, 1)),
            "probability_N": np.float32(np.append(probability_N, 0)),
        }
    return tables
