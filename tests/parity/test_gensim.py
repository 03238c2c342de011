"""Vectors of words against gensim: its files, frequencies, and tests of similarity and analogy."""

import numpy as np
import pytest

from lmjax.data.noise import UnigramNoise, kept_probabilities
from lmjax.data.word_tests import ANALOGIES, WORDSIM, analogies, wordsim
from lmjax.data.word_vectors import WordVectors, read_word_vectors, write_word_vectors
from lmjax.evaluation.word_vectors import analogy_accuracy, nearest_neighbours, similarity

models = pytest.importorskip("gensim.models")

COUNTS = {f"word{i}": count for i, count in enumerate([900, 400, 150, 40, 9, 1])}


@pytest.fixture(scope="module")
def model():
    """A word2vec model of a text in which each word stands COUNTS times, not yet trained."""
    model = models.Word2Vec(
        vector_size=8, window=3, min_count=1, sample=0.01, negative=5, ns_exponent=0.75, seed=1
    )
    model.build_vocab_from_freq(COUNTS, corpus_count=10)
    return model


@pytest.mark.parametrize("name", ["vectors.txt", "vectors.txt.gz"])
def test_either_reads_the_others_files(model, name, tmp_path):
    model.wv.save_word2vec_format(tmp_path / name, binary=False)
    ours = read_word_vectors(tmp_path / name)
    assert list(ours.words) == model.wv.index_to_key
    np.testing.assert_array_equal(ours.vectors_VD, model.wv.vectors)
    write_word_vectors(tmp_path / f"our_{name}", ours)
    theirs = models.KeyedVectors.load_word2vec_format(tmp_path / f"our_{name}", binary=False)
    assert theirs.index_to_key == model.wv.index_to_key
    np.testing.assert_array_equal(theirs.vectors, model.wv.vectors)


def test_words_are_left_out_and_drawn_with_the_same_probabilities(model):
    counts_V = np.array(list(COUNTS.values()))
    kept_V = [model.wv.get_vecattr(word, "sample_int") / 2**32 for word in COUNTS]
    np.testing.assert_allclose(kept_probabilities(counts_V, 0.01), kept_V, atol=1e-6)
    noise_V = np.diff(model.cum_table.astype(np.float64), prepend=0) / model.cum_table[-1]
    np.testing.assert_allclose(UnigramNoise(counts_V, 0.75).probabilities_V, noise_V, atol=1e-6)


@pytest.fixture(scope="module")
def vectors(data_dir):
    """Ours and gensim's of the same words, drawn so that some analogies hold and others do not."""
    rated = [word for pair in wordsim() for word in (pair.first, pair.second)]
    families = [word for question in analogies()["family"] for word in question]
    words = tuple(dict.fromkeys([*families, *rated]))
    table_VD = np.random.default_rng(3).standard_normal((len(words), 5)).astype(np.float32)
    offset_D = np.float32([3, 0, 0, 0, 0])
    for first, second, _, _ in analogies()["family"]:
        table_VD[words.index(second)] = table_VD[words.index(first)] + offset_D
    table_VD += np.random.default_rng(4).standard_normal(table_VD.shape) / 4
    theirs = models.KeyedVectors(5)
    theirs.add_vectors(list(words), table_VD)
    return WordVectors(words, table_VD), theirs


def test_similarities_correlate_alike(vectors):
    ours, theirs = vectors
    _, spearman, _ = theirs.evaluate_word_pairs(WORDSIM.local(), case_insensitive=False)
    assert similarity(ours, wordsim())["spearman"] == pytest.approx(spearman.statistic, abs=1e-9)


def test_analogies_are_answered_alike(vectors):
    ours, theirs = vectors
    _, sections = theirs.evaluate_word_analogies(ANALOGIES.local(), case_insensitive=False)
    (family,) = [section for section in sections if section["section"] == "family"]
    found = analogy_accuracy(ours, analogies()["family"])
    assert 0 < found["correct"] == len(family["correct"]) < found["covered"]
    assert found["covered"] == len(family["correct"]) + len(family["incorrect"])


def test_neighbours_are_the_same(vectors):
    ours, theirs = vectors
    found, expected = nearest_neighbours(ours, "queen", 7), theirs.most_similar("queen", topn=7)
    assert [word for word, _ in found] == [word for word, _ in expected]
    np.testing.assert_allclose([c for _, c in found], [c for _, c in expected], atol=1e-5)
