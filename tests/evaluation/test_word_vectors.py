"""Tests of word vectors: against brute force, and on vectors made to give a known answer."""

import numpy as np
import pytest
from scipy.stats import rankdata

from lmjax.data.word_tests import RatedPair, analogies, simlex, wordsim
from lmjax.data.word_vectors import WordVectors
from lmjax.errors import UserError
from lmjax.evaluation.word_vectors import (
    analogy_accuracy,
    evaluate_word_vectors,
    nearest_neighbours,
    similarity,
)

WORDS = tuple("abcdefghij")
VECTORS = WordVectors(WORDS, np.random.default_rng(1).standard_normal((10, 4)).astype(np.float32))


def cosine(first, second):
    x, y = (VECTORS.vectors_VD[WORDS.index(word)] for word in (first, second))
    return x @ y / np.sqrt((x @ x) * (y @ y))


def test_neighbours_are_those_of_the_largest_cosine():
    expected = sorted(set(WORDS) - {"c"}, key=lambda word: -cosine("c", word))
    found = nearest_neighbours(VECTORS, "c", 3)
    assert [word for word, _ in found] == expected[:3]
    np.testing.assert_allclose([c for _, c in found], [cosine("c", w) for w in expected[:3]], 1e-5)
    assert nearest_neighbours(VECTORS, "C", 3) == found
    assert len(nearest_neighbours(VECTORS, "c", 100)) == 9
    with pytest.raises(UserError, match="'z' is not among the 10 words"):
        nearest_neighbours(VECTORS, "z")


def test_similarity_is_the_correlation_of_ranks_over_the_covered_pairs():
    pairs = [
        RatedPair(a, b, float(i % 4)) for i, (a, b) in enumerate(zip("abcde", "fghij", strict=True))
    ]
    found = similarity(VECTORS, [*pairs, RatedPair("a", "unknown", 9.0)])
    ranks = rankdata([cosine(p.first, p.second) for p in pairs]), rankdata([0, 1, 2, 3, 0])
    assert found == {
        "spearman": pytest.approx(np.corrcoef(*ranks)[0, 1]),
        "covered": 5,
        "pairs": 6,
    }
    assert similarity(VECTORS, pairs[:2])["spearman"] is None


def test_analogies_are_answered_by_the_nearest_word_that_is_not_in_the_question():
    offset, base = np.eye(4)[3], np.eye(4)[:3]
    countries = dict(zip(["France", "Italy", "Spain"], base, strict=True))
    capitals = {"Paris": base[0] + offset, "Rome": base[1] + offset, "Madrid": base[2] - offset}
    table = countries | capitals
    vectors = WordVectors(tuple(table), np.array(list(table.values()), np.float32))
    questions = [
        ("France", "Paris", "Italy", "Rome"),  # right
        ("France", "Paris", "Spain", "Madrid"),  # wrong: Madrid lies on the other side
        ("FRANCE", "paris", "Italy", "Rome"),  # not covered: neither so nor in lower case
    ]
    assert analogy_accuracy(vectors, questions) == {
        "accuracy": 0.5,
        "correct": 1,
        "covered": 2,
        "questions": 3,
    }
    assert analogy_accuracy(vectors, questions[2:])["accuracy"] is None


def test_published_tests_have_their_published_sizes(data_dir):
    assert wordsim()[1] == RatedPair("tiger", "cat", 7.35) and len(wordsim()) == 353
    assert simlex()[0] == RatedPair("old", "new", 1.58) and len(simlex()) == 999
    questions = analogies()
    assert len(questions) == 14
    assert questions["capital-common-countries"][0] == ("Athens", "Greece", "Baghdad", "Iraq")


def test_all_tests_of_vectors_count_what_they_cover(data_dir):
    words = ("tiger", "cat", "book", "paper", "old", "new", "boy", "girl", "brother", "sister")
    found = evaluate_word_vectors(WordVectors(words, VECTORS.vectors_VD))
    assert found["wordsim_353"]["covered"] == 3  # tiger and cat, tiger and tiger, book and paper
    assert found["simlex_999"]["covered"] >= 1
    family = found["analogies"]["sections"]["family"]
    assert family["covered"] == 2 and family["questions"] == 506
    assert found["analogies"]["semantic"]["covered"] == found["analogies"]["all"]["covered"] == 2
    assert found["analogies"]["all"]["questions"] == 19_544
