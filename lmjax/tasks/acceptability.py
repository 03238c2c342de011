"""Acceptability: of two sentences that differ little, the one that a model finds likelier."""

from collections import defaultdict
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from lmjax.data.documents import Document
from lmjax.errors import UserError
from lmjax.evaluation.texts import text_log_probs
from lmjax.tasks.bootstrap import bootstrap_intervals
from lmjax.tasks.contract import Answer, Intervals, Kind, Metrics

NEITHER = ""  # what is answered where both sentences are as likely
TIE = 1e-4  # nats, within which sums of float32 tell nothing


class Acceptability(Kind):
    """The likelier sentence of a document's source and second, each read alone.

    Any model that predicts texts can answer, see `lmjax.evaluation.texts`: no run is trained for
    it. Where the two are as likely, the answer is neither, and counts as half right, so that chance
    is 0.5. An answer's details are the `score`, how many nats the source is likelier, the number of
    `tokens` of each, and of `unknowns`.
    """

    name: ClassVar[str] = "acceptability"
    main: ClassVar[str] = "accuracy"

    def answers(self, trained, documents, on_answered=None) -> list[Answer]:
        texts = [text for document in documents for text in document.source_parts]
        scores = text_log_probs(
            trained.model,
            trained.params,
            trained.tokenizer,
            texts,
            trained.objective,
            on_scored=on_answered and (lambda scored: on_answered(scored / 2)),
        )
        log_probs_N2 = scores.log_probs_N.reshape(-1, 2)
        margins_N = log_probs_N2[:, 0] - log_probs_N2[:, 1]
        columns = margins_N, scores.tokens_N.reshape(-1, 2), scores.unknowns_N.reshape(-1, 2)
        answers = []
        for document, margin, tokens_2, unknowns_2 in zip(documents, *columns, strict=True):
            likelier = document.source if margin > 0 else document.second
            details = {"score": float(margin), "tokens": tokens_2.tolist()}
            if unknowns_2.any():
                details["unknowns"] = unknowns_2.tolist()
            answers.append(Answer(NEITHER if abs(margin) <= TIE else likelier, details))
        return answers

    def measure(self, predictions, references) -> Metrics:
        if not len(references):
            raise UserError("there is no pair to compare; choose another split")
        ties = sum(prediction == NEITHER for prediction in predictions)
        right_N = rights(predictions, references)
        return {"accuracy": float(right_N.mean()), "ties": ties / len(references)}

    def intervals(self, predictions, references, seed=0) -> Intervals:
        right_N = rights(predictions, references)

        def statistics(places_RN: np.ndarray) -> dict[str, np.ndarray]:
            return {"accuracy": right_N[places_RN].mean(axis=-1)}

        return bootstrap_intervals(len(right_N), statistics, seed)

    def baselines(self, train, documents) -> dict[str, list[str]]:
        """Chance, which finds no sentence likelier."""
        return {"chance": [NEITHER] * len(documents)}


def rights(predictions: Sequence[str], references: Sequence[str]) -> np.ndarray:
    """`right_N`: 1 where the right sentence is the likelier one, 0.5 where neither is."""
    pairs = zip(predictions, references, strict=True)
    return np.array(
        [0.5 if told == NEITHER else float(told == reference) for told, reference in pairs]
    )


def accuracy_by_group(
    documents: Sequence[Document], predictions: Sequence[str]
) -> dict[str, dict[str, float]]:
    """The accuracy `by_phenomenon` and `by_paradigm` of documents named PHENOMENON/PARADIGM:N."""
    right_N = rights(predictions, [document.text for document in documents])
    groups: dict[str, dict[str, list[float]]] = {
        "by_phenomenon": defaultdict(list),
        "by_paradigm": defaultdict(list),
    }
    for document, right in zip(documents, right_N, strict=True):
        phenomenon, _, rest = document.name.partition("/")
        groups["by_phenomenon"][phenomenon].append(right)
        groups["by_paradigm"][rest.rpartition(":")[0]].append(right)
    return {
        name: {group: float(np.mean(values)) for group, values in sorted(by_group.items())}
        for name, by_group in groups.items()
    }


def first_of_each(documents: Sequence[Document], count: int) -> list[Document]:
    """The first `count` pairs of each paradigm, in their order; 0: all."""
    seen: dict[str, int] = defaultdict(int)
    kept = []
    for document in documents:
        paradigm = document.name.rpartition(":")[0]
        seen[paradigm] += 1
        if not count or seen[paradigm] <= count:
            kept.append(document)
    return kept
