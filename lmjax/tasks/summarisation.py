"""Summarisation: what a text says, in a few words."""

import re
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lmjax.generation.beam import Beam
from lmjax.tasks.bootstrap import bootstrap_intervals
from lmjax.tasks.contract import Intervals, Metrics
from lmjax.tasks.rouge import rouge, signature
from lmjax.tasks.translation import Writing

SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[^a-z\s])|(?<=[。！？])")


@dataclass(frozen=True)
class Summarisation(Writing):
    """Summaries, by a beam in which no three tokens in a row come twice: ROUGE, in percent.

    They are at most as long as those that were trained on.
    """

    beam: Beam = Beam(no_repeat_ngram=3)

    name: ClassVar[str] = "summarisation"
    main: ClassVar[str] = "rougel"

    def longest(self, data) -> int:
        return data.length

    def measure(self, predictions, references) -> Metrics:
        return {name: float(f_N.mean()) for name, f_N in rouge(predictions, references).items()}

    def intervals(self, predictions, references, seed=0) -> Intervals:
        of_each = rouge(predictions, references)

        def means(places_RN: np.ndarray) -> dict[str, np.ndarray]:
            return {name: f_N[places_RN].mean(axis=1) for name, f_N in of_each.items()}

        return bootstrap_intervals(len(references), means, seed)

    def baselines(self, train, documents) -> dict[str, list[str]]:
        """The first sentence, the first three, and all that is to be summed up."""
        sentences = [SENTENCE_END.split(document.source) for document in documents]
        return {
            "lead_1": [" ".join(each[:1]) for each in sentences],
            "lead_3": [" ".join(each[:3]) for each in sentences],
            "copied_source": [document.source for document in documents],
        }

    def notes(self, references) -> dict[str, str]:
        return {"rouge": signature(), **super().notes(references)}
