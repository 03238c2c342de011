"""Counting n-grams in sorted arrays, beside dictionaries and a count by their last tokens."""

from dataclasses import astuple
from types import SimpleNamespace
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lmjax.errors import UserError
from lmjax.models import ngram_counts
from lmjax.models.ngram_counts import count_ngrams, edges, join_streams, ranges, sort_stably
from tests.models.reference_ngram import ReferenceNGram, counts_by_last_token

VOCABULARY = 5
END = 3
TOKENS = st.integers(0, VOCABULARY - 1)


def stream(tokens, start_id=END, dtype=np.uint8):
    return SimpleNamespace(tokens_N=np.asarray(tokens, dtype), start_id=start_id)


def zipf_stream(length, vocabulary_size):
    generator = np.random.default_rng(0)
    weights = 1 / np.arange(1, vocabulary_size + 1)
    tokens = generator.choice(vocabulary_size, size=length, p=weights / weights.sum())
    return stream(tokens, 0, np.int32)


@settings(max_examples=200, deadline=None)
@given(
    streams=st.lists(st.builds(stream, st.lists(TOKENS, max_size=30), TOKENS), max_size=4),
    order=st.integers(1, 6),
    end_id=st.sampled_from((END, -1)),
    chunk=st.sampled_from((1, 2, 7, 1 << 20)),
)
@example(streams=[], order=3, end_id=END, chunk=1)
@example(streams=[stream([])], order=3, end_id=END, chunk=1)
@example(streams=[stream([]), stream([END, END])], order=5, end_id=END, chunk=1)
def test_counts_equal_those_of_dictionaries(streams, order, end_id, chunk):
    joined = join_streams(streams, end_id, order)
    with patch.object(ngram_counts, "CHUNK", chunk):
        levels = list(count_ngrams(*joined, order, VOCABULARY))
    reference = ReferenceNGram(streams, order, VOCABULARY, "kneser_ney", end_id)
    shorter = [()]
    for length, counts in enumerate(levels, start=1):
        assert counts.starts_M.size == len(shorter) + 1
        followers = np.diff(counts.starts_M).tolist()
        contexts = [
            gram for gram, count in zip(shorter, followers, strict=True) for _ in range(count)
        ]
        words = counts.words_N.tolist()
        grams = [(*context, word) for context, word in zip(contexts, words, strict=True)]
        assert grams == sorted(set(grams))
        assert [shorter[row] for row in counts.suffixes_N] == [gram[1:] for gram in grams]
        expected = {
            (*context, word): count
            for context, words in reference.counts[length].items()
            for word, count in words.items()
        }
        found = dict(zip(grams, counts.counts_N.tolist(), strict=True))
        assert {gram: count for gram, count in found.items() if count} == expected
        assert length == 1 or all(found.values())
        shorter = grams


@pytest.mark.parametrize("order", [1, 2, 5])
@pytest.mark.parametrize("end_id", [0, -1])
def test_counts_of_a_longer_text_equal_those_by_last_token(order, end_id):
    whole = zipf_stream(20_000, 300)
    streams = [whole, stream(whole.tokens_N[:700], 7, np.uint16), stream([], 7)]
    joined = join_streams(streams, end_id, order)
    with patch.object(ngram_counts, "CHUNK", 1000):  # fewer than places where <eos> begins
        levels = list(count_ngrams(*joined, order, 300))
    expected = counts_by_last_token(*map(np.int64, joined), order, 300)
    for counts, columns in zip(levels, expected, strict=True):
        for column, expected_column in zip(astuple(counts), columns, strict=True):
            assert column.dtype == np.int32
            np.testing.assert_array_equal(column, expected_column)


@settings(max_examples=100, deadline=None)
@given(
    streams=st.lists(st.builds(stream, st.lists(TOKENS, max_size=30), TOKENS), max_size=4),
    order=st.sampled_from((1, 2, 5, 300)),
    end_id=st.sampled_from((END, -1)),
)
def test_reach_is_what_a_token_sees(streams, order, end_id):
    tokens, reach = [], []
    for each in streams:
        read = [each.start_id, *each.tokens_N.tolist()]
        tokens += read
        reach.append(0)
        for index in range(1, len(read)):
            ends = [place for place in range(index) if read[place] == end_id]
            reach.append(min(order, index - max(ends, default=0)))
    tokens_S, reach_S = join_streams(streams, end_id, order)
    assert tokens_S.tolist() == tokens
    assert reach_S.tolist() == reach


@given(keys=st.lists(st.integers(0, 1 << 40) | st.integers(0, 3), max_size=50))
def test_sorting_is_stable(keys):
    keys_P, order_P = sort_stably(np.array(keys, np.int64))
    assert keys_P.tolist() == sorted(keys)
    assert order_P.tolist() == sorted(range(len(keys)), key=keys.__getitem__)


@given(sizes=st.lists(st.integers(0, 9), max_size=30), most=st.integers(1, 12))
def test_ranges_hold_all_groups_once_and_are_small(sizes, most):
    found = list(ranges(edges(np.array(sizes, np.int32)), most))
    assert [group for first, last in found for group in range(first, last)] == [*range(len(sizes))]
    for first, last in found:
        assert last - first == 1 or max(sum(sizes[first:last]), last - first) <= most


def test_a_text_of_more_places_than_an_int32_counts_is_refused():
    with patch.object(ngram_counts, "MOST_TOKENS", 9):
        join_streams([stream([0] * 3), stream([1] * 4)], -1, 3)
        with pytest.raises(UserError, match="9 tokens at most"):
            join_streams([stream([0] * 4), stream([1] * 4)], -1, 3)
