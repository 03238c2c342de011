"""What a study is going to train, shown before it does, and refused if it can't be trained."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmjax.data.dataset import Dataset, open_dataset
from lmjax.errors import UserError
from lmjax.evaluation.scoring import context_policy
from lmjax.models.contract import LanguageModel
from lmjax.models.cost import ModelCost
from lmjax.models.registry import build_model
from lmjax.runs.fields import check_fields, check_values, is_number, is_positive_number
from lmjax.runs.run_directory import RunDirectory
from lmjax.studies.losses import ACCURACY
from lmjax.studies.measures import is_counted, training_clock
from lmjax.studies.study import BEGINNINGS, DURATION, Arm, Study, flatten
from lmjax.studies.tuning import planned_trials, trial_durations
from lmjax.training.program import plan_training
from lmjax.training.schedules import hyperparameters_of

TRAINED = {"training": {"tokens": is_number, "seconds": is_positive_number}}


@dataclass(frozen=True)
class ArmPlan:
    """What an arm costs, how often it runs and on how many tokens each.

    A counted arm's size shows later.
    """

    name: str
    cost: ModelCost | None
    sizes: Mapping[str, Any]  # the fields that may have been solved for, with their values
    trials: int
    trials_tokens: int  # of all of them, if all came out alike
    runs: int
    run_tokens: int
    tokens_per_second: float | None = None  # of its finished runs, if there are any

    @property
    def tokens(self) -> int:
        """Of all its trials and runs."""
        return self.trials_tokens + self.runs * self.run_tokens

    @property
    def flops(self) -> float:
        """Of all its trials and runs; none of a counted arm."""
        return self.tokens * self.cost.training_operations_per_token if self.cost else 0.0

    def of(self, quantity: str) -> float:
        """One of MATCHES, of one run of an arm that is trained."""
        return {
            "parameters": self.cost.parameters,
            "non_embedding_parameters": self.cost.non_embedding,
            "state_bytes": self.cost.state_bytes,
            "training_flops": self.run_tokens * self.cost.training_operations_per_token,
            "training_tokens": self.run_tokens,
        }[quantity]

    def seconds(self, flops_per_second: float) -> float | None:
        """How long it takes, from its own speed or, at the least, that of products; None: unknown.

        Counting is not estimated.
        """
        if self.cost is None:
            return None
        if self.tokens_per_second:
            return self.tokens / self.tokens_per_second
        return self.flops / flops_per_second


def plan_study(study: Study, workdir: Path | None = None) -> list[ArmPlan]:
    """The plan of each arm of a matched study, of which `workdir` may hold finished runs.

    Raises UserError, naming the arms, if one can't run, or if they would not be compared on equal
    terms: by training text, initial parameters or the number of configurations tried.
    """
    trained = {arm.name: arm for arm in study.arms if not is_counted(arm)}
    _check_beginnings(study, trained)
    tried = {name: len(arm.candidates()) for name, arm in trained.items()}
    _check_equal("how many configurations their choices try", tried)
    datasets: dict[str, Dataset] = {}
    plans, texts, held_out = [], {}, {}
    durations = trial_durations(study)
    for arm in study.arms:
        key = arm.config.data.to_json()
        try:
            check_values(arm.config)
            if key not in datasets:
                datasets[key] = open_dataset(arm.config.data)
            duration = durations.get(arm.name, "")
            plans.append(_plan_arm(study, arm, datasets[key], workdir, duration))
            splits = datasets[key].splits
            texts[arm.name] = splits["train"].fingerprint.partition("-")[0]
            held_out[arm.name] = splits["validation"].fingerprint.partition("-")[0]
        except UserError as error:
            raise UserError(f"arm {arm.name!r} can't run: {error}") from error
    _check_texts(study, texts)
    _check_equal("the validation text", held_out)
    return plans


def _check_texts(study: Study, texts: Mapping[str, str]) -> None:
    """Raises UserError if arms train on different texts, unless that is the question."""
    if not study.texts_differ:
        what = "the training text (corpus, cleaning, data.train_share)"
        _check_equal(what, texts, "; or say texts_differ=True if that is the question")
    elif len(set(texts.values())) == 1:
        raise UserError(
            f"study {study.name!r} has texts_differ=True, but all its arms train on the same text; "
            "give them other values of data.train_share, cleaning or files, or leave it out"
        )


def _check_beginnings(study: Study, trained: Mapping[str, Arm]) -> None:
    """Raises UserError if arms begin with different parameters, unless that is the question."""
    values = {
        field: {name: flatten(arm.config)[field] for name, arm in trained.items()}
        for field in BEGINNINGS
    }
    if not study.begins_differ:
        for field, of_arms in values.items():
            _check_equal(field, of_arms, "; or say begins_differ=True if that is the question")
    elif all(len(set(of_arms.values())) == 1 for of_arms in values.values()):
        raise UserError(
            f"study {study.name!r} has begins_differ=True, but all its arms begin with the same; "
            f"give them other values of {' or '.join(BEGINNINGS)}, or leave it out"
        )


def _check_equal(what: str, values: Mapping[str, Any], otherwise: str = "") -> None:
    """Raises UserError, naming the arms, if arms that are to be compared differ in `what`."""
    if len(set(values.values())) > 1:
        each = ", ".join(f"{value or 'none'} in {name!r}" for name, value in values.items())
        raise UserError(f"arms differ in {what}: {each}; give all of them the same{otherwise}")


def _plan_arm(
    study: Study, arm: Arm, dataset: Dataset, workdir: Path | None, trial_duration: str
) -> ArmPlan:
    candidates = list(arm.candidates().values())
    models = [_model(candidate, dataset) for candidate in candidates]
    if is_counted(arm):
        for candidate, model in zip(candidates, models, strict=True):
            context_policy(candidate.config, model)
        tokens = dataset.splits["train"].counts.tokens
        return ArmPlan(arm.name, None, {}, 0, 0, len(models) * (study.folds or 1), tokens)
    plan = plan_training(candidates[0].config, dataset, models[0])
    nats_of = plan.objective.nats_of(models[0])
    if not (plan.objective.scores_text or nats_of in ACCURACY):
        raise UserError(
            f"arm {arm.name!r} predicts no text ({nats_of}), so it has no bits per byte for a "
            "study to compare; train its runs by `lmjax train`"
        )
    trials = planned_trials(arm, study.tuning, trial_duration).values() if study.tuning else ()
    return ArmPlan(
        name=arm.name,
        cost=plan.cost,
        sizes=_sizes(study, arm),
        trials=len(trials),
        trials_tokens=sum(_trial_tokens(trial, dataset) for trial in trials),
        runs=len(candidates) * len(study.seeds),
        run_tokens=plan.clock.total_tokens,
        tokens_per_second=_tokens_per_second(workdir, arm),
    )


def _trial_tokens(trial: Arm, dataset: Dataset) -> int:
    """Raises UserError for a trial that can't run, such as one shorter than its warm-up."""
    _model(trial, dataset)
    training = trial.config.training
    try:
        clock = training_clock(trial, dataset)
        hyperparameters_of(training, clock)
    except UserError as error:
        raise UserError(f"its trials, of {training.duration}, can't: {error}") from error
    return clock.total_tokens


def _sizes(study: Study, arm: Arm) -> dict[str, Any]:
    known, fields = flatten(arm.config), [arm.size_field, arm.fine_field]
    if "training_flops" in study.matched or study.target:
        fields.append(DURATION)
    return {field: known[field] for field in fields if known.get(field)}


def _tokens_per_second(workdir: Path | None, arm: Arm) -> float | None:
    """Of an arm's finished runs in a study's folder, all together."""
    files = sorted(workdir.glob(f"arms/{arm.folder}/**/results.json")) if workdir else []
    training = [run for file in files if (run := _readable_training(file))]
    seconds = sum(run["seconds"] for run in training)
    return sum(run["tokens"] for run in training) / seconds if seconds else None


def _readable_training(file: Path) -> Mapping[str, Any] | None:
    """What a results file says of tokens and seconds; None if damaged, which its report tells."""
    try:
        results = RunDirectory(file.parent).results()
        check_fields(results, TRAINED, file)
    except UserError:
        return None
    return results["training"]


def _model(arm: Arm, dataset: Dataset) -> LanguageModel:
    check_values(arm.config)
    return build_model(arm.config.model, dataset.tokenizer)
