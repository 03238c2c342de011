"""What a task is: documents to be answered to, and how the answers are scored as its field does."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import numpy as np
from ml_collections import ConfigDict

from lmjax.data.documents import Document
from lmjax.data.tokenizer import Tokenizer
from lmjax.models.contract import LanguageModel
from lmjax.objectives.contract import Objective

Reference = str | list[str]  # what is right, or several texts of which each would be
Metrics = dict[str, float | None]  # None: there is no such number, as of constant predictions
Intervals = dict[str, tuple[float, float] | None]


class Answering(Protocol):
    """A model with what its answers take, as a run has it after training and when it is loaded."""

    model: LanguageModel
    params: Any
    tokenizer: Tokenizer
    objective: Objective
    config: ConfigDict


@dataclass(frozen=True)
class Answer:
    """What a model answers to a document: a label, a number, a translation, a piece of its source.

    `details` are what else is known of it, as JSON takes it: its probability, its score.
    """

    text: str
    details: Mapping[str, Any] = field(default_factory=dict)


class Kind:
    """A kind of tasks: how a model answers, and what its answers are measured by."""

    name: ClassVar[str]
    main: ClassVar[str]  # the metric that a table shows; more of it is better
    after_training: ClassVar[bool] = (
        True  # whether a run answers to the splits that it is scored on
    )

    def references(self, documents: Sequence[Document]) -> list[Reference]:
        """What is right: the text of each document, or a list where several are."""
        return [
            list(document.references) if document.further_references else document.text
            for document in documents
        ]

    def answers(
        self,
        trained: Answering,
        documents: Sequence[Document],
        on_answered: Callable[[int], None] | None = None,
    ) -> list[Answer]:
        """The model's answers to documents that are cleaned, whose texts are not looked at.

        `on_answered` is given the number of those answered, after every batch. Raises UserError,
        naming the document, for one that the model can't read.
        """
        raise NotImplementedError

    def measure(self, predictions: Sequence[str], references: Sequence[Reference]) -> Metrics:
        """All metrics by name, of a whole split; raises UserError for an empty one."""
        raise NotImplementedError

    def is_right(self, prediction: str, reference: str) -> bool:
        """Whether an answer says what a text does that is right."""
        return prediction == reference

    def intervals(
        self, predictions: Sequence[str], references: Sequence[Reference], seed: int = 0
    ) -> Intervals:
        """The 95 % intervals of metrics, of a bootstrap over examples; those that have none lack.

        What another training would give is no part of them.
        """
        return {}

    def baselines(
        self, train: Sequence[Document], documents: Sequence[Document]
    ) -> dict[str, list[str]]:
        """By name, the answers of what learns next to nothing, such as the most frequent label."""
        return {}

    def notes(self, references: Sequence[Reference]) -> dict[str, str]:
        """What tells how the metrics were computed against these, such as a signature."""
        return {}


@dataclass(frozen=True)
class Published:
    """A number that was published, in the unit of the metric here."""

    value: float
    metric: str
    who: str  # the model
    source: str  # paper and table
    differs: str = ""  # in what it is not of these data, if it is not


@dataclass(frozen=True)
class Task:
    """Data and the kind that they are of."""

    name: str
    kind: str
    fields: Mapping[str, Any]  # of config.data, that open it
    description: str
    languages: tuple[str, ...]
    published: tuple[Published, ...] = ()

    @property
    def corpus(self) -> str:
        return self.fields["corpus"]


def one_of_each(values_by_metric: Mapping[str, np.ndarray]) -> Metrics:
    """The metrics of `values_R` of one split alone; what is not a number is None."""
    return {
        name: float(value) if np.isfinite(value) else None
        for name, (value,) in values_by_metric.items()
    }
