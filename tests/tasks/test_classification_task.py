"""Metrics of labels are scikit-learn's, on hard cases too; intervals and baselines are as said."""

import warnings

import numpy as np
import pytest

from lmjax.data.documents import Document
from lmjax.errors import UserError
from lmjax.tasks.classification import Classification
from lmjax.tasks.classification_metrics import Confusion

KIND = Classification()
GENERATOR = np.random.default_rng(0)
RANDOM = [[str(label) for label in GENERATOR.integers(0, 5, 200)] for _ in range(2)]
CASES = {  # predictions, references
    "random": RANDOM,
    "all right": (RANDOM[0], RANDOM[0]),
    "a class that is never predicted": ("aaab", "aabc"),
    "a class that never occurs": ("abcd", "abab"),
    "constant predictions": ("aaaa", "abca"),
    "always wrong": ("baba", "abab"),
    "skewed": ("a" * 97 + "bba", "a" * 96 + "bbab"),
    "one example": ("ab", "ba"),
}


@pytest.mark.parametrize("name", CASES)
def test_metrics_are_those_of_scikit_learn(name):
    metrics = pytest.importorskip("sklearn.metrics")
    predictions, references = map(list, CASES[name])
    measured = KIND.measure(predictions, references)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = {
            "accuracy": metrics.accuracy_score(references, predictions),
            "macro_f1": metrics.f1_score(references, predictions, average="macro"),
            "mcc": metrics.matthews_corrcoef(references, predictions),
        }
        counts_CC = metrics.confusion_matrix(references, predictions)
    assert measured == pytest.approx(expected, abs=1e-12)
    assert Confusion.of(predictions, references).counts_CC.tolist() == counts_CC.tolist()


def test_of_references_that_are_all_alike_no_correlation_is_known():
    for predictions in ("aaa", "aba", "bbb"):
        measured = KIND.measure(list(predictions), list("aaa"))
        assert measured["mcc"] is None and measured["accuracy"] == predictions.count("a") / 3
        assert KIND.intervals(list(predictions), list("aaa"))["mcc"] is None
    with pytest.raises(UserError, match="no example"):
        KIND.measure([], [])


def test_intervals_are_those_of_resampled_examples():
    right = GENERATOR.random(400) < 0.8
    references = [str(label) for label in GENERATOR.integers(0, 3, 400)]
    predictions = [
        label if is_right else "3" for label, is_right in zip(references, right, strict=True)
    ]
    intervals = KIND.intervals(predictions, references)
    share = right.mean()
    deviation = np.sqrt(share * (1 - share) / 400)
    low, high = intervals["accuracy"]
    assert low == pytest.approx(share - 1.96 * deviation, abs=0.2 * deviation)
    assert high == pytest.approx(share + 1.96 * deviation, abs=0.2 * deviation)
    for name, value in KIND.measure(predictions, references).items():
        assert intervals[name][0] < value < intervals[name][1]
    assert KIND.intervals(predictions, references) == intervals
    assert KIND.intervals(predictions, references, seed=1) != intervals
    assert KIND.intervals(["a"], ["a"]) == {"accuracy": None, "macro_f1": None, "mcc": None}


def test_the_baseline_is_the_most_frequent_label_of_training():
    train = [Document(str(i), label, "text") for i, label in enumerate("bcbca")]
    assert KIND.baselines(train, train[:2]) == {"majority_class": ["b", "b"]}
