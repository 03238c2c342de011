"""Tasks that a model was not trained for: the likelier of two sentences, labels by prompts."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from rich.console import Console

from lmjax.config import base_config
from lmjax.data.cleaning import clean_text
from lmjax.data.corpora import Corpus, open_corpus
from lmjax.data.documents import Document
from lmjax.errors import UserError, nearest
from lmjax.evaluation.splits import log_read
from lmjax.evaluation.texts import check_scores_texts
from lmjax.runs.files import to_json
from lmjax.runs.lock import only_writer
from lmjax.runs.run_directory import RunDirectory
from lmjax.runs.terminal import printable, say
from lmjax.tasks.acceptability import Acceptability, accuracy_by_group, first_of_each
from lmjax.tasks.classification import Classification
from lmjax.tasks.contract import Task
from lmjax.tasks.predictions import AnsweredSplit, answer_split
from lmjax.tasks.prompt_templates import template_of
from lmjax.tasks.prompting import Prompted, draw_shots
from lmjax.tasks.registry import TASKS, find_task
from lmjax.trained.parts import Parts

DIGITS = 8  # of the digest of a template, in a name


@dataclass(frozen=True)
class AnsweringOtherTasks(Parts):
    """Answers to tasks that its objective is not of.

    What was measured of a finished run and its scored checkpoint is also put into the `other_tasks`
    of its results.json, and the answers into the folder's predictions/; imported weights have no
    results, and their answers are kept alone. Each read of a split is logged as by `evaluate`.
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
        documents = first_of_each(_corpus_of(find_task(task)).read()[0]["test"], pairs)
        name = f"{task}_first_{pairs}_of_each" if pairs else task
        cleaned = [_cleaned(document, self.config.data.cleaning) for document in documents]
        splits = {"train": [], "test": cleaned}
        answered = self._answer(Acceptability(), name, splits, "test", reader, console)
        predictions = [answer.text for answer in answered.answers]
        groups = accuracy_by_group(answered.documents, predictions)
        measured = answered.measured | groups
        self._keep(name, answered, measured, console)
        return measured

    def prompt(
        self,
        task: str,
        *,
        shots: int = 0,
        seed: int = 0,
        calibrate: bool = False,
        normalization: str = "none",
        template: str = "",
        split: str = "test",
        examples: int = 0,
        reader: str = "lmjax.prompt",
        console: Console | None = None,
    ) -> dict[str, Any]:
        """What the labels are worth that are likeliest after a prompt with so many `shots`.

        These are training examples of the task, drawn and ordered by the `seed`. `template` is a
        file, see `lmjax.tasks.prompt_templates`; `normalization` and `calibrate` are those of
        `lmjax.tasks.prompting`. The first `examples` of the split are answered; 0: all. Raises
        UserError for a task that is not one of labels, a model that does not predict each token
        from those before it, and as `Prompted`.
        """
        console, found = console or Console(quiet=True), find_task(task)
        if found.kind != Classification.name:
            known = [name for name, each in TASKS.items() if each.kind == Classification.name]
            raise UserError(f"task {task!r} is not one of labels: {nearest(task, known)}")
        if (kind := self.objective.nats_of(self.model)) != "causal":
            raise UserError(
                f"a prompt is gone on with, and this model's nats are {kind}; choose one that was "
                "trained by objective.name='causal'"
            )
        if examples < 0:
            raise UserError(f"examples is {examples}; give how many of the split, or 0 for all")
        if split == "train" and shots:
            raise UserError(
                "shots are drawn from train, so that a text of it may stand answered before "
                "itself; choose another split, or shots=0"
            )
        words = template_of(task, template)
        splits = _corpus_of(found).documents()[0]
        if split not in splits:
            raise UserError(f"task {task!r} has no split {split!r}: {nearest(split, splits)}")
        prompted = Prompted(
            words,
            draw_shots(splits["train"], shots, seed),
            normalization,
            calibrate,
            tuple(self.config.data.cleaning),
        )
        documents = splits[split][: examples or None]
        for document in documents:
            prompted.check_label(document)
        name = _name(task, prompted, seed, template, split, examples)
        first = printable(prompted.text(documents[0].source, shots))
        say(console, f"the first prompt:\n{first}\n")
        given = {"train": splits["train"], split: documents}
        answered = self._answer(prompted, name, given, split, reader, console)
        details = [answer.details for answer in answered.answers]
        used = Counter(detail["shots"] for detail in details)
        measured = answered.measured | {
            "template": asdict(words),
            "examples_by_shots": {str(count): used[count] for count in sorted(used)},
            "ties": sum(detail["as_likely"] > 0 for detail in details),
        }
        if fewer := len(documents) - used[shots]:
            say(
                console,
                f"{fewer:,} of {len(documents):,} prompts have fewer than {shots} examples: more "
                f"have no room in the model's context of {self.model.longest_context} tokens",
            )
        if measured["ties"]:
            say(
                console,
                f"in {measured['ties']:,} of {len(documents):,} several labels are as likely, and "
                "the template's first of them is the answer",
            )
        self._keep(name, answered, measured, console)
        return measured

    def _answer(self, kind, name, splits, split, reader, console) -> AnsweredSplit:
        log_read(
            RunDirectory(self.workdir),
            split,
            f"answer to {name} by",
            step=self.step,
            context="another task",
            corpus=name,
            reader=self._named(reader),
        )
        return answer_split(kind, self, splits, split, console or Console(quiet=True))

    def _keep(
        self,
        name: str,
        answered: AnsweredSplit,
        measured: dict[str, Any],
        console: Console | None,
    ) -> None:
        run, has_results = RunDirectory(self.workdir), self.is_of_results
        if not has_results and not (run.is_imported and not self.changes):
            if console:
                say(
                    console,
                    "the answers are not kept: they are neither of the scored checkpoint of a "
                    "finished run nor of weights as they were imported",
                )
            return
        with only_writer(run.path):
            answered.keep(run, name)
            if has_results:
                run.add_other_task(name, measured)


def _cleaned(document: Document, cleaning: Sequence[str]) -> Document:
    texts = (clean_text(text, cleaning) for text in (document.text, *document.source_parts))
    return replace(document, **dict(zip(("text", "source", "second"), texts, strict=False)))


def _name(
    task: str, prompted: Prompted, seed: int, template: str, split: str, examples: int
) -> str:
    """What tells the answers to a task from those by another prompt, or to other documents."""
    shots = len(prompted.shots)
    parts = [task, f"{shots}_shots", f"seed_{seed}" if shots else ""]
    parts.append("calibrated" if prompted.calibrate else "")
    parts.append(f"by_{prompted.normalization}" if prompted.normalization != "none" else "")
    if template:  # another of the same name has other answers
        digest = sha256(to_json(asdict(prompted.template)).encode()).hexdigest()
        parts.append(f"template_{Path(template).stem}_{digest[:DIGITS]}")
    parts += [split if split != "test" else "", f"first_{examples}" if examples else ""]
    return "_".join(filter(None, parts))


def _corpus_of(task: Task) -> Corpus:
    data = base_config().data
    data.update(task.fields)
    return open_corpus(data)
