"""Classification: each document has one label of a few."""

from collections import Counter
from functools import partial
from typing import Any, ClassVar

import jax
import numpy as np

from lmjax.data.source_rows import encode_sources, source_batches
from lmjax.models.contract import LanguageModel
from lmjax.tasks.bootstrap import bootstrap_intervals
from lmjax.tasks.classification_metrics import Confusion, cells_of, classification_metrics
from lmjax.tasks.contract import Answer, Intervals, Kind, Metrics, one_of_each


class Classification(Kind):
    """Labels; an answer's details are its `probability`, and the `probabilities` of all labels."""

    name: ClassVar[str] = "classification"
    objectives: ClassVar[tuple[str, ...]] = ("classification",)
    main: ClassVar[str] = "accuracy"

    def answers(self, trained, documents, on_answered=None) -> list[Answer]:
        labels = label_names(trained.tokenizer)
        longest = trained.model.longest_context
        rows = encode_sources(documents, trained.tokenizer.source, longest)
        answers: list[Any] = [None] * len(rows)
        start_id = trained.tokenizer.start_id
        batches = source_batches(rows, trained.config.data.batch_size, longest)
        for places_N, source_BS, weights_BS in batches:
            found = _label_probabilities(
                trained.model, trained.params, start_id, source_BS, weights_BS
            )
            for place, probabilities_V in zip(places_N, np.asarray(found), strict=False):
                answers[place] = _answer(labels, probabilities_V)
            if on_answered:
                on_answered(len(places_N))
        return answers

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


def label_names(tokenizer) -> dict[int, str]:
    """The label of each id that is one; the end of a line and what is unknown are none."""
    others = {tokenizer.end_id, tokenizer.unknown_id, *tokenizer.target.special_ids.values()}
    return {
        i: tokenizer.target.decode([i]) for i in range(tokenizer.vocabulary_size) if i not in others
    }


def _answer(labels: dict[int, str], probabilities_V: np.ndarray) -> Answer:
    """The most probable label; probabilities are those of labels alone, which sum to one."""
    of_labels = {label: float(probabilities_V[i]) for i, label in labels.items()}
    total = sum(of_labels.values())
    probabilities = {label: value / total for label, value in of_labels.items()}
    best = max(probabilities, key=probabilities.get)
    return Answer(best, {"probability": probabilities[best], "probabilities": probabilities})


@partial(jax.jit, static_argnames=("model", "start_id"))
def _label_probabilities(
    model: LanguageModel, params: Any, start_id: int, source_BS: jax.Array, weights_BS: jax.Array
) -> jax.Array:
    """`probabilities_BV` of the first token of what follows the sources."""
    tokens_B1 = jax.numpy.full((len(source_BS), 1), start_id, np.int32)
    logits_BTV, _ = model.apply(
        params, tokens_B1, None, source_BS=source_BS, source_weights_BS=weights_BS
    )
    return jax.nn.softmax(logits_BTV[:, 0].astype(np.float32))
