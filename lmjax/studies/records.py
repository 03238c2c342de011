"""What is known of a study, a folder of runs or a single run, for a report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lmjax.runs.terminal import printable
from lmjax.studies.losses import loss_name, loss_of


@dataclass(frozen=True)
class RunRecord:
    """One run directory."""

    path: Path
    config: Mapping[str, Any]
    metrics: Sequence[Mapping[str, Any]]
    results: Mapping[str, Any] | None  # None: not finished
    environment: Mapping[str, Any]
    sample: str  # the prompt and how the model went on
    tuning: Mapping[str, Any] | None = None  # the trials that its values were chosen by
    test_reads: Sequence[Mapping[str, Any]] = ()  # each time that its test split was read

    @property
    def seed(self) -> int:
        return self.config["seed"]

    @property
    def fold(self) -> int | None:
        """Which fold of the corpus it validates on; None if there are none."""
        return self.config["data"]["fold"] if self.config["data"]["folds"] else None

    def training_flops(self, elementwise: bool = True) -> float | None:
        """Of a finished run's training, with those done element by element or without.

        None: not written down.
        """
        products = self.results.get("training_flops_per_token")
        more = self.results.get("training_elementwise_per_token") or 0 if elementwise else 0
        return None if products is None else (products + more) * self.results["training"]["tokens"]


@dataclass(frozen=True)
class ArmRecord:
    """The runs of one arm; of an arm with choices those of the one that validation prefers."""

    name: str
    runs: tuple[RunRecord, ...]
    failures: tuple[str, ...] = ()  # why runs of the arm, of any choice, have no results
    damaged: tuple[str, ...] = ()  # runs that can't be read, and why
    chosen: str = ""
    considered: Mapping[str, float] = field(default_factory=dict)  # choice: validation loss
    unfinished_choices: tuple[str, ...] = ()
    reads_of_others: int = 0  # of the test split, of choices that validation did not prefer

    @property
    def tuning(self) -> Mapping[str, Any] | None:
        """The trials that the arm's values were chosen by."""
        return next((run.tuning for run in self.runs if run.tuning), None)

    @property
    def folds(self) -> int:
        """Of the corpus, for cross-validation; 0: none."""
        return max((run.config["data"]["folds"] for run in self.runs), default=0)

    @property
    def finished(self) -> tuple[RunRecord, ...]:
        return tuple(run for run in self.runs if run.results)

    @property
    def is_counted(self) -> bool:
        """Whether no gradient step was taken: one run then stands for every seed."""
        return bool(self.finished) and all(
            run.results["training"]["steps"] == 0 for run in self.finished
        )

    @property
    def nats_of(self) -> tuple[str, ...]:
        """What its scores' nats are of: one kind, unless objectives were mixed up."""
        scores = [score for run in self.finished for score in run.results["splits"].values()]
        kinds = (printable(score.get("nats_of") or "causal") for score in scores)
        return tuple(dict.fromkeys(kinds))

    def scores(self, split: str) -> dict[int, Mapping[str, Any]]:
        """The score of a split by seed, for the runs that have one that arms are compared by."""
        return {
            run.seed: run.results["splits"][split]
            for run in self.finished
            if loss_of(run.results["splits"].get(split, {})) is not None
        }


@dataclass(frozen=True)
class StudyRecord:
    """A study as far as it has been run."""

    name: str
    question: str
    arms: tuple[ArmRecord, ...]
    baseline: str = ""
    matched: tuple[str, ...] = ()
    prompt: str = ""
    seeds: tuple[int, ...] = ()  # that were asked for
    reference: str = ""  # of the study's file
    target: float | None = None  # of what is matched; None: the baseline's
    texts_differ: bool = False  # whether the question is what text arms train on
    scaling: bool = False  # whether the question is how the loss falls with size and FLOPs
    other_folders: tuple[str, ...] = ()  # with runs, but of no arm
    reads_of_trials: int = 0  # of the test split

    @property
    def is_of_one_kind(self) -> bool:
        """Whether all scores are nats of the same, so that they may be compared."""
        return len(self._kinds) <= 1

    @property
    def is_causal(self) -> bool:
        """Whether each score is of tokens predicted from those before them alone."""
        return self._kinds <= {"causal"}

    @property
    def loss(self) -> str:
        """What its arms are compared by."""
        return loss_name(self._kinds)

    @property
    def is_of_one_tokenizer(self) -> bool:
        """Whether all scores of a split are of the same tokens: only then perplexities compare."""
        tokens = {}
        for arm in self.arms:
            for run in arm.finished:
                for split, score in run.results["splits"].items():
                    tokens.setdefault((split, run.fold), set()).add(score.get("fingerprint"))
        return all(len(prints) == 1 for prints in tokens.values())

    @property
    def knows_elementwise(self) -> bool:
        """Whether all runs tell FLOPs done element by element, which older ones lack.

        Those of products alone are to be compared where some don't.
        """
        trained = [run for arm in self.arms for run in arm.finished if not arm.is_counted]
        return all("training_elementwise_per_token" in run.results for run in trained)

    @property
    def _kinds(self) -> set[str]:
        return {kind for arm in self.arms for kind in arm.nats_of}
