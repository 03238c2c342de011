"""Kneser-Ney estimation: from the counts of n-grams to tables of interpolated probabilities.

The n-grams of each order are the rows of a table of a trie, see `ngram_tables.py`.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from lmjax.models.ngram_counts import CHUNK, Counts, count_ngrams, join_streams, ranges


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
    context), as in Chen and Goodman (1998). It is reckoned in float64; the backoffs are rounded to
    float32. That of a context never seen is 1, and the last is the backoff of all that are not in
    the table.
    """
    starts_M, discount_of_count = counts.starts_M, discounts(counts.counts_N, smoothing)
    probability_N, backoff_M = np.empty(counts.words_N.size), np.ones(starts_M.size, np.float32)
    for first, last in ranges(starts_M, CHUNK):
        rows = slice(starts_M[first], starts_M[last])
        counts_R, size = counts.counts_N[rows], last - first
        context_R = np.repeat(np.arange(size), np.diff(starts_M[first : last + 1]))
        discounts_R = discount_of_count[np.minimum(counts_R, 3)]
        total_C = np.bincount(context_R, weights=counts_R, minlength=size)
        freed_C = np.bincount(context_R, weights=discounts_R, minlength=size)
        backoff_C = np.where(total_C > 0, freed_C / np.maximum(total_C, 1), 1.0)
        probability_N[rows] = (counts_R - discounts_R) / np.maximum(total_C, 1)[context_R]
        lower_R = lower_probability_M[counts.suffixes_N[rows]]
        probability_N[rows] += backoff_C[context_R] * lower_R
        backoff_M[first:last] = backoff_C
    return probability_N, backoff_M


def estimate(
    streams: Iterable, order: int, vocabulary_size: int, smoothing: str, end_id: int
) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """The tables of every order, `order_1` to `order_N`, as `NGramModel` reads them, one by one.

    What was never seen has a backoff of 1. No streams at all give the uniform distribution.
    """
    levels = count_ngrams(*join_streams(streams, end_id, order), order, vocabulary_size)
    probability_N, _ = interpolate(next(levels), np.full(1, 1 / vocabulary_size), smoothing)
    yield "order_1", {"probability_N": np.float32(probability_N)}
    for length in range(2, order + 1):
        probability_N, table = _table(next(levels), probability_N, smoothing)
        yield f"order_{length}", table
        del table


def _table(
    counts: Counts, lower_probability_M: np.ndarray, smoothing: str
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """`probability_N` in float64, for the next order, and the table."""
    probability_N, backoff_M = interpolate(counts, lower_probability_M, smoothing)
    return probability_N, {
        "starts_M": _with_last(counts.starts_M, counts.starts_M[-1], np.int32),
        "words_N": _with_last(counts.words_N, -1, np.int32),
        "backoff_M": backoff_M,
        "probability_N": _with_last(probability_N, 0, np.float32),
    }


def _with_last(values_N: np.ndarray, last: float, dtype: type) -> np.ndarray:
    """As `np.append`, in another type, with one copy."""
    result = np.empty(values_N.size + 1, dtype)
    result[:-1], result[-1] = values_N, last
    return result
