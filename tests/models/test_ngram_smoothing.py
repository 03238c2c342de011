"""The tables of the n-gram model: against the definition, and against what the papers say."""

import tracemalloc
from collections import defaultdict
from functools import partial
from types import SimpleNamespace
from unittest.mock import patch

import chex
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmjax.models import ngram_counts, ngram_smoothing
from lmjax.models.ngram_smoothing import discounts, estimate
from tests.models.reference_ngram import ReferenceNGram

VOCABULARY = 5
END = 3
SMOOTHINGS = ("kneser_ney", "modified_kneser_ney")


def stream(tokens, start_id=END):
    return SimpleNamespace(tokens_N=np.asarray(tokens, np.uint8), start_id=start_id)


def ngrams_of(tables):
    """For each order, a dictionary from n-gram to probability, and one from context to backoff."""
    rows = [(word,) for word in range(VOCABULARY)]
    unigrams = dict(zip(rows, tables["order_1"]["probability_N"].tolist(), strict=True))
    yield unigrams, {}
    for length in range(2, len(tables) + 1):
        table = tables[f"order_{length}"]
        backoffs = dict(zip(rows, table["backoff_M"].tolist(), strict=False))
        contexts = np.repeat(np.arange(len(rows) + 1), np.diff(table["starts_M"]))
        words = table["words_N"][:-1].tolist()
        rows = [(*rows[context], word) for context, word in zip(contexts, words, strict=True)]
        assert rows == sorted(set(rows))
        yield dict(zip(rows, table["probability_N"].tolist(), strict=False)), backoffs


@settings(max_examples=100, deadline=None)
@given(
    sequences=st.lists(st.lists(st.integers(0, VOCABULARY - 1), max_size=25), max_size=3),
    order=st.integers(1, 6),
    smoothing=st.sampled_from(SMOOTHINGS),
    end_id=st.sampled_from((END, -1)),
)
def test_tables_equal_the_definition(sequences, order, smoothing, end_id):
    streams = [stream(tokens) for tokens in sequences]
    reference = ReferenceNGram(streams, order, VOCABULARY, smoothing, end_id)
    tables = dict(estimate(streams, order, VOCABULARY, smoothing, end_id))
    lower = {(): 1 / VOCABULARY}
    for length, (probabilities, backoffs) in enumerate(ngrams_of(tables), start=1):
        if length > 1:
            seen = {(*c, word) for c, words in reference.counts[length].items() for word in words}
            assert set(probabilities) == seen
        expected = [reference.probability(gram[-1], gram[:-1]) for gram in probabilities]
        np.testing.assert_allclose(list(probabilities.values()), expected, rtol=1e-6)
        followed, followed_lower = defaultdict(float), defaultdict(float)
        for gram, probability in probabilities.items():
            followed[gram[:-1]] += probability
            followed_lower[gram[:-1]] += lower[gram[1:]] if length > 1 else 1
        for context, backoff in backoffs.items():
            total = followed[context] + backoff * (1 - followed_lower[context])
            assert total == pytest.approx(1, abs=1e-6)
        lower = probabilities


@pytest.mark.parametrize("chunk", [1, 7])
def test_a_few_contexts_at_a_time_are_the_same_bit_for_bit(chunk):
    tokens = np.random.default_rng(0).geometric(0.4, 400) % VOCABULARY
    fit = partial(estimate, [stream(tokens)], 4, VOCABULARY, SMOOTHINGS[0], END)
    whole = dict(fit())
    with patch.object(ngram_smoothing, "CHUNK", chunk):
        chex.assert_trees_all_equal(dict(fit()), whole)


@pytest.mark.parametrize("tokens", [50_000, 400_000])
def test_memory_is_bounded_for_each_token(tokens):
    """The tables alone take 40 bytes a token of a text whose longer n-grams are nearly all new."""
    weights = 1 / np.arange(1, 5001)
    generator = np.random.default_rng(0)
    text = generator.choice(5000, size=tokens, p=weights / weights.sum())
    streams = [SimpleNamespace(tokens_N=np.int32(text), start_id=0)]
    chunk = 1 << 12
    with patch.object(ngram_counts, "CHUNK", chunk), patch.object(ngram_smoothing, "CHUNK", chunk):
        tracemalloc.start()
        dict(estimate(streams, 5, 5000, "modified_kneser_ney", 0))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 100 * tokens


def test_a_word_of_one_context_is_rare_elsewhere():
    """Kneser and Ney's point: what counts is after how many words it came, not how often."""
    san, francisco, glass, others = 0, 1, 2, (3, 4)
    text = [san, francisco] * 20 + [word for other in others for word in (other, glass)]
    tables = dict(estimate([stream(text)], 2, VOCABULARY, "kneser_ney", -1))
    probability_V = tables["order_1"]["probability_N"]
    assert text.count(francisco) > text.count(glass)
    assert probability_V[francisco] < probability_V[glass]


def test_discounts_follow_the_counts_of_counts():
    counts_N = np.repeat([0, 1, 2, 3, 4, 9], [5, 40, 12, 6, 3, 7])
    y = 40 / (40 + 2 * 12)
    np.testing.assert_allclose(discounts(counts_N, "kneser_ney"), [0, y, y, y])
    modified = [0, 1 - 2 * y * 12 / 40, 2 - 3 * y * 6 / 12, 3 - 4 * y * 3 / 6]
    np.testing.assert_allclose(discounts(counts_N, "modified_kneser_ney"), modified)


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ((0, 0, 0, 0), (0.5, 1, 1.5)),  # nothing is rare
        ((9, 0, 4, 1), (0.5, 1, 1.5)),  # n2 is needed by all
        ((8, 4, 0, 3), (0.5, 1, 1.5)),  # nothing would be left of 2, and that of 3 is undefined
        ((8, 4, 9, 1), (0.5, 1, 3 - 4 * 0.5 * 1 / 9)),  # that of 2 would be negative
    ],
)
def test_discounts_out_of_range_are_half_the_count(numbers, expected):
    counts_N = np.repeat([1, 2, 3, 4, 7], [*numbers, 5])
    np.testing.assert_allclose(discounts(counts_N, "modified_kneser_ney"), [0, *expected])
