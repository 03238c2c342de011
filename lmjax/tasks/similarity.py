"""Similarity: each pair of texts has a number, or each text one, such as a rating."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from scipy.stats import rankdata

from lmjax.data.documents import Document
from lmjax.errors import UserError
from lmjax.tasks.bootstrap import bootstrap_intervals
from lmjax.tasks.contract import Answer, Intervals, Kind, Metrics, one_of_each
from lmjax.tasks.first_outputs import first_outputs


class Similarity(Kind):
    """Numbers; of an answer that is one, its details are the `score`."""

    name: ClassVar[str] = "similarity"
    main: ClassVar[str] = "pearson"

    def answers(self, trained, documents, on_answered=None) -> list[Answer]:
        numbers_N = first_outputs(trained, documents, on_answered)[:, 0]
        return [Answer(f"{number:.6g}", {"score": number}) for number in numbers_N.tolist()]

    def measure(self, predictions, references) -> Metrics:
        if not len(references):
            raise UserError("there is no example to compare; choose another split")
        told_N, right_N = np.asarray(predictions, float), np.asarray(references, float)
        return one_of_each(similarity_metrics(told_N[None], right_N[None]))

    def intervals(self, predictions, references, seed=0) -> Intervals:
        told_N, right_N = np.asarray(predictions, float), np.asarray(references, float)

        def statistics(places_RN: np.ndarray) -> dict[str, np.ndarray]:
            return similarity_metrics(told_N[places_RN], right_N[places_RN])

        return bootstrap_intervals(len(right_N), statistics, seed)

    def baselines(self, train, documents) -> dict[str, list[str]]:
        """The mean of the training documents; of pairs, the words that two texts share."""
        mean = np.mean([float(document.text) for document in train])
        told = {"mean": [f"{mean:.6g}"] * len(documents)}
        if documents and documents[0].second is not None:
            told["word_overlap"] = _overlaps(train, documents)
        return told


def similarity_metrics(told_RN: np.ndarray, right_RN: np.ndarray) -> dict[str, np.ndarray]:
    """By metric `values_R`: Pearson's and Spearman's correlation, and the mean squared error.

    Correlations are NaN where one side is constant. Equal numbers have the mean of their ranks.
    """
    return {
        "pearson": _correlation(told_RN, right_RN),
        "spearman": _correlation(rankdata(told_RN, axis=1), rankdata(right_RN, axis=1)),
        "squared_error": np.square(told_RN - right_RN).mean(axis=1),
    }


def _correlation(x_RN: np.ndarray, y_RN: np.ndarray) -> np.ndarray:
    is_constant_R = (np.ptp(x_RN, axis=1) == 0) | (np.ptp(y_RN, axis=1) == 0)
    x_RN, y_RN = (a_RN - a_RN.mean(axis=1, keepdims=True) for a_RN in (x_RN, y_RN))
    norm_R = np.linalg.norm(x_RN, axis=1) * np.linalg.norm(y_RN, axis=1)
    together_R = (x_RN * y_RN).sum(axis=1) / np.where(is_constant_R, 1, norm_R)
    return np.where(is_constant_R, np.nan, together_R.clip(-1, 1))


def _overlaps(train: Sequence[Document], documents: Sequence[Document]) -> list[str]:
    """The share of their words that two texts have in common (Jaccard 1901), in train's units."""
    ratings = [float(document.text) for document in train]
    lowest, highest = min(ratings), max(ratings)
    told = []
    for document in documents:
        first, second = (set(text.lower().split()) for text in document.source_parts)
        share = len(first & second) / max(1, len(first | second))
        told.append(f"{lowest + (highest - lowest) * share:.6g}")
    return told
