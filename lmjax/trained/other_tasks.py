"""Tasks that a model was not trained for: which of two sentences it finds likelier."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from rich.console import Console

from lmjax.data.cleaning import clean_text
from lmjax.data.corpora import open_corpus
from lmjax.data.documents import Document
from lmjax.errors import UserError, nearest
from lmjax.evaluation.texts import check_scores_texts
from lmjax.runs.lock import only_writer
from lmjax.runs.run_directory import RunDirectory
from lmjax.tasks.acceptability import Acceptability, accuracy_by_group, first_of_each
from lmjax.tasks.predictions import AnsweredSplit, answer_split
from lmjax.tasks.registry import TASKS, find_task
from lmjax.trained.parts import Parts


@dataclass(frozen=True)
class AnsweringOtherTasks(Parts):
    """Answers to tasks that its objective is not of.

    What was measured of a finished run and its scored checkpoint is also put into the `other_tasks`
    of its results.json, the answers into the folder's predictions/. Each read of a test is logged
    in the run's test_reads.jsonl.
    """

    def judge(
        self,
        task: str = "blimp",
        *,
        pairs: int = 0,
        reader: str = "lmjax.judge",
        console: Console | None = None,
    ) -> dict[str, Any]:
        """How often the model finds the acceptable sentence of two likelier, also by group.

        Of each paradigm the first `pairs` are judged; 0: all. Raises UserError for a task of
        another kind, and a model that predicts no texts.
        """
        known = [name for name, each in TASKS.items() if each.kind == Acceptability.name]
        if find_task(task).kind != Acceptability.name:
            raise UserError(f"task {task!r} is no pairs of sentences: {nearest(task, known)}")
        if pairs < 0:
            raise UserError(f"pairs is {pairs}; give how many of each paradigm, or 0 for all")
        check_scores_texts(self.objective, self.model)
        data = self._data_of(find_task(task).corpus)
        documents = first_of_each(open_corpus(data).read()[0]["test"], pairs)
        name = f"{task}_first_{pairs}_of_each" if pairs else task
        answered = self._answer(Acceptability(), name, documents, reader, console)
        predictions = [answer.text for answer in answered.answers]
        groups = accuracy_by_group(answered.documents, predictions)
        measured = answered.measured | groups
        self._keep(name, answered, measured)
        return measured

    def _answer(self, kind, name, documents, reader, console) -> AnsweredSplit:
        RunDirectory(self.workdir).log_test_read(
            step=self.step, corpus=name, reader=self._named(reader)
        )
        cleaned = [_cleaned(document, self.config.data.cleaning) for document in documents]
        return answer_split(
            kind, self, {"train": [], "test": cleaned}, "test", console or Console(quiet=True)
        )

    def _keep(self, name: str, answered: AnsweredSplit, measured: dict[str, Any]) -> None:
        run = RunDirectory(self.workdir)
        with only_writer(run.path):
            answered.keep(run, name)
            if self.is_of_results:
                run.add_other_task(name, measured)


def _cleaned(document: Document, cleaning: Sequence[str]) -> Document:
    texts = (clean_text(text, cleaning) for text in (document.text, *document.source_parts))
    return replace(document, **dict(zip(("text", "source", "second"), texts, strict=False)))
