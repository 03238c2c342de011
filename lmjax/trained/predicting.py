"""Answers of a trained model to texts, whatever it was trained for, as they come."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

import jax
import numpy as np

from lmjax.data.cleaning import clean_text
from lmjax.data.documents import Document
from lmjax.data.lines import Line, in_groups
from lmjax.data.texts import checked_text, each_of
from lmjax.errors import DeviceError, DivergedError, UserError
from lmjax.evaluation.texts import check_scores_texts, text_log_probs
from lmjax.tasks.predictions import prediction_row
from lmjax.tasks.registry import kind_of
from lmjax.trained.parts import Parts

BATCHES_AT_ONCE = 8  # among whose texts those of one length are put together
SCORED_AT_ONCE = 2048  # so that most batches of one length are full, and few programs compiled

GIVEN = ("name", "source", "second")  # of a row, beside the answer

Row = dict[str, Any]
Answering = Callable[[Sequence[Document]], list[Row]]


@dataclass(frozen=True)
class Predicting(Parts):
    """Answers to texts of which nobody says what is right."""

    @property
    def texts_at_once(self) -> int:
        """How many are in memory while they are answered."""
        if kind_of(self.config) is None:
            return SCORED_AT_ONCE
        return BATCHES_AT_ONCE * self.config.data.batch_size

    def predict(self, texts: str | Iterable[str | Line], *, beam: int = 0) -> Iterator[Row]:
        """What the model makes of each text, in their order, a few batches ahead.

        Of one that was trained for a task, its `prediction` and what that brings with it: the
        `probabilities` of labels, the `log_prob` of a translation. Of one that was trained on texts
        alone, the `nats` of the text, its `tokens` and how many were `unknowns`. Where a text can't
        be read there is an `error` in their place. `beam` is the width of a search; 0: as usual.

        Raises UserError if no text of the first ones can be read, for what is no text, for a model
        that was trained for neither, and for a beam where nothing is searched for.
        """
        lines = (_line(text, f"text {number}") for number, text in enumerate(each_of(texts), 1))
        for rows in self.predict_groups(in_groups(lines, self.texts_at_once), beam=beam):
            yield from rows

    def predict_groups(
        self, groups: Iterable[Sequence[Line]], *, beam: int = 0, has_begun: bool = False
    ) -> Iterator[list[Row]]:
        """The same, of so many texts at a time as each group holds.

        If it `has_begun` before, the first of these may all be unreadable.
        """
        answering = self._answering(beam)
        for group in groups:
            readable = [line for line in group if not line.error]
            answered = iter(_answered([self._document(line) for line in readable], answering))
            rows = [_row(line, None if line.error else next(answered)) for line in group]
            if not has_begun and all("error" in row for row in rows):
                raise UserError(rows[0]["error"])
            has_begun = True
            yield rows

    def made_with(self, beam: int) -> dict[str, Any]:
        """What answers depend on beside the texts."""
        digest = sha256()
        for leaf in jax.tree.leaves(self.params):
            digest.update(np.asarray(leaf).tobytes())
        return {"step": self.step, "parameters": digest.hexdigest()[:16], "beam": beam}

    def _document(self, line: Line) -> Document:
        cleaning = self.config.data.cleaning
        second = None if line.second is None else clean_text(line.second, cleaning)
        return Document(line.name, "", clean_text(line.source, cleaning), second)

    def _answering(self, beam: int) -> Answering:
        kind = kind_of(self.config)
        if beam:
            if not hasattr(kind, "beam"):
                raise UserError(
                    "this model searches for no text, so beam is of no use; leave it out"
                )
            kind = replace(kind, beam=replace(kind.beam, width=beam))
        if kind is None:
            check_scores_texts(self.objective, self.model)
            return self._nats

        def answering(documents: Sequence[Document]) -> list[Row]:
            self._check_seconds(documents)
            answers = kind.answers(self, documents)
            return [prediction_row(*pair) for pair in zip(documents, answers, strict=True)]

        return answering

    def _nats(self, documents: Sequence[Document]) -> list[Row]:
        self._check_seconds(documents)
        texts = [document.source for document in documents]
        found = text_log_probs(self.model, self.params, self.tokenizer, texts, self.objective)
        columns = found.log_probs_N, found.tokens_N, found.unknowns_N
        return [
            {"nats": -float(log_prob), "tokens": int(tokens), "unknowns": int(unknowns)}
            for log_prob, tokens, unknowns in zip(*columns, strict=True)
        ]


def _answered(documents: list[Document], answering: Answering) -> list[Row]:
    """An answer to each document, or the error why there is none, which is then the only one."""
    if not documents:
        return []
    try:
        return answering(documents)
    except (DivergedError, DeviceError):
        raise
    except UserError as error:
        if len(documents) == 1:
            return [{"error": str(error)}]
    middle = len(documents) // 2
    return _answered(documents[:middle], answering) + _answered(documents[middle:], answering)


def _line(text: Any, name: str) -> Line:
    if isinstance(text, Line):
        return text
    return Line(name, checked_text(text, name, of_pairs="give a pair as lmjax.data.lines.Line"))


def _row(line: Line, answer: Row | None) -> Row:
    """The text as it was given, and what is answered to it."""
    given = {"name": line.name, "source": line.source}
    if line.second is not None:
        given["second"] = line.second
    answer = {"error": line.error} if answer is None else answer
    return given | {name: value for name, value in answer.items() if name not in GIVEN}
