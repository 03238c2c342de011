"""Correlations are scipy's, also with ties; where there is none it is said, and not made up."""

import numpy as np
import pytest
from scipy import stats

from lmjax.data.documents import Document
from lmjax.errors import UserError
from lmjax.tasks.similarity import Similarity

KIND = Similarity()
GENERATOR = np.random.default_rng(0)
CASES = {  # predictions, references
    "random": GENERATOR.normal(size=(2, 50)),
    "ties": GENERATOR.integers(0, 4, (2, 60)),
    "alike": [[0.1, 0.2, 0.5]] * 2,
    "opposite": [[1, 2, 3], [6, 4, 2]],
    "far from zero": 1e6 + GENERATOR.normal(size=(2, 50)),
    "one is far off": [[1, 2, 3, 4, 1000], [1, 2, 3, 4, 5]],
}


def texts(numbers):
    return [repr(float(number)) for number in numbers]


@pytest.mark.parametrize("name", CASES)
def test_correlations_are_those_of_scipy(name):
    told, right = CASES[name]
    measured = KIND.measure(texts(told), texts(right))
    assert measured == pytest.approx(
        {
            "pearson": stats.pearsonr(told, right).statistic,
            "spearman": stats.spearmanr(told, right).statistic,
            "squared_error": np.mean((np.asarray(told) - np.asarray(right)) ** 2),
        },
        abs=1e-9,
    )
    assert all(-1 <= measured[metric] <= 1 for metric in ("pearson", "spearman"))


def test_constant_predictions_have_no_correlation():
    for told, right in (([0.1] * 3, [1, 2, 3]), ([1, 2, 3], [0.1] * 3)):
        measured = KIND.measure(texts(told), texts(right))
        assert measured["pearson"] is measured["spearman"] is None
        assert measured["squared_error"] > 0
        intervals = KIND.intervals(texts(told), texts(right))
        assert intervals["pearson"] is None and intervals["squared_error"] is not None
    with pytest.raises(UserError, match="no example"):
        KIND.measure([], [])


def test_intervals_are_about_as_wide_as_those_of_fisher():
    right_N = GENERATOR.normal(size=500)
    told_N = right_N + GENERATOR.normal(size=500)
    interval = KIND.intervals(texts(told_N), texts(right_N))["pearson"]
    low, high = stats.pearsonr(told_N, right_N).confidence_interval(0.95)
    assert interval == pytest.approx((low, high), abs=0.015)


def test_baselines_are_the_mean_and_shared_words():
    pairs = (("0", "a b", "c"), ("3", "a b c", "A c"), ("5", "a", "a"))
    documents = [Document(str(i), *pair) for i, pair in enumerate(pairs)]
    told = KIND.baselines(documents, documents)
    assert told == {"mean": ["2.66667"] * 3, "word_overlap": ["0", "3.33333", "5"]}
    ratings = [Document("0", "4", "a text")]
    assert KIND.baselines(ratings, ratings) == {"mean": ["4"]}
