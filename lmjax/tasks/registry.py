"""The tasks and their kinds, by name, and which of them a run is of."""

import importlib

from ml_collections import ConfigDict

from lmjax.errors import UserError, nearest
from lmjax.tasks import label_tasks, question_tasks, sentence_tasks, text_tasks
from lmjax.tasks.contract import Kind, Task

KINDS = {
    "classification": "lmjax.tasks.classification:Classification",
    "similarity": "lmjax.tasks.similarity:Similarity",
    "question_answering": "lmjax.tasks.question_answering:QuestionAnswering",
    "translation": "lmjax.tasks.translation:Translation",
    "summarisation": "lmjax.tasks.summarisation:Summarisation",
    "generation": "lmjax.tasks.generation:Generation",
    "acceptability": "lmjax.tasks.acceptability:Acceptability",
}
OF_OBJECTIVE = {  # of several kinds, the first is that of a corpus that is no task
    "classification": ("classification",),
    "regression": ("similarity",),
    "span": ("question_answering",),
    "seq2seq": ("translation", "summarisation"),
    "prefix": ("translation", "summarisation"),
}
TASKS = {
    task.name: task
    for room in (label_tasks, question_tasks, text_tasks, sentence_tasks)
    for task in room.TASKS
}


def find_task(name: str) -> Task:
    """The task of that name; raises UserError, with the nearest name, if there is none."""
    if name not in TASKS:
        raise UserError(f"unknown task {name!r}: {nearest(name, TASKS)}")
    return TASKS[name]


def find_kind(name: str) -> Kind:
    """The kind of that name; raises UserError, with the nearest name, if there is none."""
    if name not in KINDS:
        raise UserError(f"unknown kind of tasks {name!r}: {nearest(name, KINDS)}")
    module, _, kind = KINDS[name].partition(":")
    return getattr(importlib.import_module(module), kind)()


def kind_of(config: ConfigDict, corpus: str = "") -> Kind | None:
    """The kind of tasks that a run is of, by its objective; None: its model answers nothing.

    Where several kinds are of one objective, it is that of the task whose corpus it reads, so that
    the user's own data are scored likewise. `corpus` is another one than the run's.
    """
    corpus = corpus or config.data.corpus
    kinds = OF_OBJECTIVE.get(config.objective.name)
    if kinds is None:
        return None
    of_corpus = {task.kind for task in TASKS.values() if task.corpus == corpus}
    return find_kind(next((kind for kind in kinds if kind in of_corpus), kinds[0]))
