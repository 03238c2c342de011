"""Classification: each document has one label of a few."""

from collections import Counter
from typing import ClassVar

import numpy as np
from scipy.special import softmax

from lmjax.data.tokenizer import Tokenizer
from lmjax.tasks.bootstrap import bootstrap_intervals
from lmjax.tasks.classification_metrics import Confusion, cells_of, classification_metrics
from lmjax.tasks.contract import Answer, Intervals, Kind, Metrics, one_of_each
from lmjax.tasks.first_outputs import first_outputs


class Classification(Kind):
    """Labels; an answer's details are its `probability`, and the `probabilities` of all labels.

    Those are of labels alone, and sum to one: what else a tokenizer of words has is no label.
    """

    name: ClassVar[str] = "classification"
    main: ClassVar[str] = "accuracy"

    def answers(self, trained, documents, on_answered=None) -> list[Answer]:
        labels = label_names(trained.tokenizer)
        logits_NV = first_outputs(trained, documents, on_answered)[:, list(labels)]
        return [
            _answer(list(labels.values()), probabilities_C)
            for probabilities_C in softmax(logits_NV, axis=1)
        ]

    def measure(self, predictions, references) -> Metrics:
        counts_CC = Confusion.of(predictions, references).counts_CC
        return one_of_each(classification_metrics(counts_CC[None]))

    def intervals(self, predictions, references, seed=0) -> Intervals:
        labels, cells_N = cells_of(predictions, references)
        size = len(labels) ** 2

        def statistics(places_RN: np.ndarray) -> dict[str, np.ndarray]:
            shifted_RN = cells_N[places_RN] + size * np.arange(len(places_RN))[:, None]
            counts = np.bincount(shifted_RN.ravel(), minlength=size * len(places_RN))
            return classification_metrics(counts.reshape(-1, len(labels), len(labels)))

        return bootstrap_intervals(len(cells_N), statistics, seed)

    def baselines(self, train, documents) -> dict[str, list[str]]:
        """The most frequent label of the training documents, of equal ones the first in order."""
        counts = Counter(document.text for document in train)
        majority = min(counts, key=lambda label: (-counts[label], label))
        return {"majority_class": [majority] * len(documents)}


def label_names(tokenizer: Tokenizer) -> dict[int, str]:
    """The label of each id that is one; the end of a line and what is unknown are none."""
    others = {tokenizer.end_id, tokenizer.unknown_id, *tokenizer.target.special_ids.values()}
    return {
        i: tokenizer.target.decode([i]) for i in range(tokenizer.vocabulary_size) if i not in others
    }


def _answer(labels: list[str], probabilities_C: np.ndarray) -> Answer:
    probabilities = dict(zip(labels, probabilities_C.tolist(), strict=True))
    best = max(probabilities, key=probabilities.get)
    return Answer(best, {"probability": probabilities[best], "probabilities": probabilities})
