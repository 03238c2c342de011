"""Answers of a trained model to the task that it was trained for, and its labels of texts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from lmjax.data.cleaning import clean_text
from lmjax.data.dataset import read_documents
from lmjax.data.documents import Document
from lmjax.data.texts import texts_of
from lmjax.errors import UserError
from lmjax.runs.lock import only_writer
from lmjax.runs.run_directory import RunDirectory
from lmjax.tasks.contract import Answer
from lmjax.tasks.predictions import AnsweredSplit, answer_split
from lmjax.tasks.registry import kind_of
from lmjax.trained.parts import Parts


@dataclass(frozen=True)
class AnsweringTasks(Parts):
    """Answers to documents, if its objective is that of a kind of tasks."""

    def classify(
        self, texts: str | Iterable[str], seconds: str | Iterable[str] | None = None
    ) -> dict[str, Any] | list[dict[str, Any]]:
        """The `label` of each text, its `probability` and the `probabilities` of all labels.

        Of pairs, `seconds` are their second texts. Texts are cleaned as the corpus was. Raises
        UserError for a model that was not trained to classify, a text that is none or that it can't
        read, second ones where it was trained on single texts, and texts that are none or not as
        many as the second ones.
        """
        kind = kind_of(self.config)
        if kind is None or kind.name != "classification":
            raise UserError(
                "this model was not trained to label texts; train one by "
                "objective.name='classification', such as experiments/tasks/trec.py"
            )
        single = isinstance(texts, str)
        texts = texts_of(texts, of_pairs="give the second ones of pairs as `seconds`")
        answers = self._answers(texts, None if seconds is None else texts_of(seconds))
        labels = [{"label": answer.text, **answer.details} for answer in answers]
        return labels[0] if single else labels

    def answer(
        self, question: str | Iterable[str], context: str | Iterable[str]
    ) -> dict[str, Any] | list[dict[str, Any]]:
        """The `answer` to each question that stands in its context, by SQuAD's kind of reading.

        With its `probability`, and `begin`, the character of the context at which it stands. A
        context of any length is read in windows. Several questions may be asked of one context.
        Raises UserError for a model that was not trained to, an empty question or context, and
        questions that are none or not as many as the contexts.
        """
        kind = kind_of(self.config)
        if kind is None or kind.name != "question_answering":
            raise UserError(
                "this model was not trained to find answers; train one by objective.name='span', "
                "such as experiments/tasks/squad.py"
            )
        single = isinstance(question, str)
        questions = texts_of(question, "question", of_pairs="give the contexts as `context`")
        contexts = texts_of(context, "context") * (
            len(questions) if isinstance(context, str) else 1
        )
        answers = self._answers(questions, contexts)
        found = [{"answer": answer.text, **answer.details} for answer in answers]
        return found[0] if single else found

    def answer_split(
        self,
        split: str,
        *,
        corpus: str = "",
        files: str = "",
        keep: bool = False,
        console: Console | None = None,
    ) -> AnsweredSplit | None:
        """Answers to a split of which `evaluate` has logged that it is read, and their worth.

        None for a model that answers nothing. `keep` puts them into the run's folder and results.
        """
        kind = kind_of(self.config, corpus)
        if kind is None:
            return None
        splits = read_documents(self._data_of(corpus, files))[0]
        answered = answer_split(kind, self, splits, split, console or Console(quiet=True))
        if keep:
            run = RunDirectory(self.workdir)
            with only_writer(run.path):
                answered.keep(run, split)
                run.add_task(split, answered.measured)
        return answered

    def _answers(self, texts: Sequence[str], seconds: Sequence[str] | None = None) -> list[Answer]:
        """The answers to texts, or to pairs of them, after the corpus's cleaning."""
        columns = [texts] if seconds is None else [texts, seconds]
        if not len(texts):
            raise UserError("there is no text to answer to; give one or more")
        if len(texts) != len(columns[-1]):
            raise UserError(
                f"texts are {len(texts):,} and second ones {len(columns[-1]):,}; give one for each"
            )
        cleaning = self.config.data.cleaning
        documents = [
            Document(f"text {i}", "", *(clean_text(text, cleaning) for text in row))
            for i, row in enumerate(zip(*columns, strict=True), start=1)
        ]
        self._check_seconds(documents)
        return kind_of(self.config).answers(self, documents)
