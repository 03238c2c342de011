"""Splits of a run's corpus: which may be scored, and that a read of the test split is logged."""

from collections.abc import Callable, Iterable
from typing import Any

from rich.console import Console

from lmjax.data.context import ContextPolicy
from lmjax.data.dataset import Dataset
from lmjax.errors import UserError, nearest
from lmjax.evaluation.astray import astray
from lmjax.evaluation.score import Score
from lmjax.evaluation.scoring import score_stream
from lmjax.models.contract import LanguageModel
from lmjax.objectives.contract import Objective
from lmjax.runs.run_directory import RunDirectory
from lmjax.runs.terminal import say


def check_splits(
    splits: Iterable[str], dataset: Dataset, policy: ContextPolicy, objective: Objective
) -> None:
    """Raises UserError for a split that the corpus does not have, or that is too short."""
    for split in splits:
        check_split(split, dataset)
        next(objective.evaluation_batches(dataset.splits[split], policy, 1))


def check_split(split: str, dataset: Dataset) -> None:
    """Raises UserError for a split that the corpus does not have."""
    if split not in dataset.splits:
        raise UserError(f"the corpus has no split {split!r}: {nearest(split, dataset.splits)}")


def check_fingerprints(run: RunDirectory, kept: dict[str, str], dataset: Dataset) -> None:
    """Raises UserError if the text or tokens of a split are not those `kept` when it was trained.

    `kept` maps split to fingerprint; a split that it lacks is not looked at.
    """
    for split, fingerprint in kept.items():
        if split not in dataset.splits or dataset.splits[split].fingerprint != fingerprint:
            raise UserError(
                f"the corpus has changed since {run.path} was trained: its split {split!r} is "
                "another; restore the corpus"
            )


def score_split(
    run: RunDirectory,
    dataset: Dataset,
    split: str,
    model: LanguageModel,
    params: Any,
    policy: ContextPolicy,
    batch_size: int,
    objective: Objective,
    *,
    step: int,
    reader: str,
    console: Console,
    on_scored: Callable[[int], None] | None = None,
) -> Score:
    """The score of a whole split; where the model went astray is logged and said.

    That the split is read stands in the run's log before it is read, for `test` also in its
    test_reads.jsonl. `step` is the parameters', `reader` says who reads. Raises as `score_stream`.
    """
    stream = dataset.splits[split]
    log_read(
        run,
        split,
        "score",
        step=step,
        context=policy.name,
        fingerprint=stream.fingerprint,
        reader=reader,
    )
    score = score_stream(model, params, stream, policy, batch_size, objective, on_scored=on_scored)
    for line in astray(score, model.vocabulary_size):
        run.log(f"{split}: {line}")
        say(console, f"{split}: {line}")
    return score


def log_read(
    run: RunDirectory, split: str, purpose: str, *, step: int, context: str, reader: str, **of: str
) -> None:
    """Puts it into the run's log that a split is read, and of `test` into its test_reads.jsonl.

    `of` says there which text it is: the fingerprint of the run's own, or the name of another
    corpus.
    """
    run.log(f"{split} is read to {purpose} step {step} ({context}), by {reader}")
    if split == "test":
        run.log_test_read(step=step, context=context, **of, reader=reader)
