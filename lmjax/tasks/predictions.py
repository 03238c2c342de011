"""A model's answers to a whole split: what they are worth, and themselves, to be read."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from lmjax.data.documents import Document, Splits
from lmjax.runs.run_directory import RunDirectory
from lmjax.runs.terminal import progress_bar
from lmjax.tasks.contract import Answer, Answering, Kind


@dataclass(frozen=True)
class AnsweredSplit:
    """The documents of a split, in their order, and what was answered to each."""

    kind: Kind
    documents: list[Document]
    answers: list[Answer]
    measured: dict[str, Any]

    def rows(self) -> list[dict[str, Any]]:
        """Each document with its answer, as predictions are kept."""
        references = self.kind.references(self.documents)
        return [
            prediction_row(document, answer, reference)
            for document, answer, reference in zip(
                self.documents, self.answers, references, strict=True
            )
        ]

    def keep(self, run: RunDirectory, split: str) -> None:
        """Writes the answers into the run's folder."""
        run.write_predictions(split, self.rows())


def answer_split(
    kind: Kind, trained: Answering, splits: Splits, split: str, console: Console
) -> AnsweredSplit:
    """The answers to a whole split of cleaned documents, and what they are worth.

    Beside the metrics stand their intervals, and the metrics of baselines that `train` tells.
    Raises UserError as the kind does.
    """
    documents = splits[split]
    with progress_bar(console, f"answers, {split}", len(documents)) as advance:
        answers = kind.answers(trained, documents, advance)
    measured = measure(kind, [answer.text for answer in answers], splits, split)
    return AnsweredSplit(kind, documents, answers, measured)


def measure(kind: Kind, predictions: Sequence[str], splits: Splits, split: str) -> dict[str, Any]:
    """What predictions for a split are worth, as results.json has it."""
    references = kind.references(splits[split])
    return {
        "kind": kind.name,
        "main": kind.main,
        "examples": len(references),
        "metrics": kind.measure(predictions, references),
        "intervals": kind.intervals(predictions, references),
        "baselines": {
            name: kind.measure(of_baseline, references)
            for name, of_baseline in kind.baselines(splits["train"], splits[split]).items()
        },
        **({"notes": notes} if (notes := kind.notes(references)) else {}),
    }


def prediction_row(document: Document, answer: Answer, reference: Any = None) -> dict[str, Any]:
    """A document with the answer to it; without a reference where nobody knows what is right."""
    row = {"name": document.name, "source": document.source}
    if document.second is not None:
        row["second"] = document.second
    if reference is not None:
        row["reference"] = reference
    return {**row, "prediction": answer.text, **answer.details}


def task_line(split: str, measured: dict[str, Any]) -> str:
    """The metrics of a split for people, with their intervals, beside those of baselines."""
    intervals = measured["intervals"]
    texts = [_text(name, value, intervals.get(name)) for name, value in measured["metrics"].items()]
    main = measured["main"]
    texts += [
        f"{_text(main, metrics[main])} by the baseline {name}"
        for name, metrics in measured["baselines"].items()
    ]
    return f"task: {split} {', '.join(texts)}"


def _text(name: str, value: float | None, interval: Sequence[float] | None = None) -> str:
    if value is None:
        return f"{name} undefined"
    between = f" ({interval[0]:.4f} to {interval[1]:.4f})" if interval else ""
    return f"{name} {value:.4f}{between}"
