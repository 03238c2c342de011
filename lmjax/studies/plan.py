"""What a study is going to train, shown before it does, and refused if it can't be trained."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from lmjax.data.dataset import Dataset, open_dataset
from lmjax.errors import UserError
from lmjax.evaluation.scoring import context_policy
from lmjax.models.contract import LanguageModel
from lmjax.models.registry import build_model
from lmjax.runs.fields import check_values
from lmjax.studies.measures import is_counted, training_tokens
from lmjax.studies.study import BEGINNINGS, Arm, Study, flatten
from lmjax.studies.tuning import planned_trials
from lmjax.training.program import plan_training


@dataclass(frozen=True)
class ArmPlan:
    """How often an arm runs, and on how many tokens each; a counted arm's size shows later."""

    name: str
    parameters: int | None
    trials: int
    trial_tokens: int
    runs: int
    run_tokens: int

    @property
    def tokens(self) -> int:
        """Of all its trials and runs."""
        return self.trials * self.trial_tokens + self.runs * self.run_tokens


def plan_study(study: Study) -> list[ArmPlan]:
    """The plan of each arm of a matched study.

    Raises UserError, naming the arms, if one can't run, or if they would not be compared on equal
    terms: by training text, initial parameters or the number of configurations tried.
    """
    trained = {arm.name: arm for arm in study.arms if not is_counted(arm)}
    _check_beginnings(study, trained)
    tried = {name: len(arm.candidates()) for name, arm in trained.items()}
    _check_equal("how many configurations their choices try", tried)
    datasets: dict[str, Dataset] = {}
    plans, texts, held_out = [], {}, {}
    for arm in study.arms:
        key = arm.config.data.to_json()
        try:
            check_values(arm.config)
            if key not in datasets:
                datasets[key] = open_dataset(arm.config.data)
            plans.append(_plan_arm(study, arm, datasets[key]))
            splits = datasets[key].splits
            texts[arm.name] = splits["train"].fingerprint.partition("-")[0]
            held_out[arm.name] = splits["validation"].fingerprint.partition("-")[0]
        except UserError as error:
            raise UserError(f"arm {arm.name!r} can't run: {error}") from error
    _check_texts(study, texts)
    _check_equal("the validation text", held_out)
    return plans


def plan_text(study: Study, plans: list[ArmPlan]) -> Group:
    """The plan as a table, for rich."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("arm", overflow="fold")
    for column in ("parameters", "trials", "runs", "tokens"):
        table.add_column(column, justify="right")
    for plan in plans:
        size = "counted" if plan.parameters is None else f"{plan.parameters:,}"
        table.add_row(plan.name, size, str(plan.trials), str(plan.runs), f"{plan.tokens:,}")
    table.add_row(
        "together",
        "",
        str(sum(plan.trials for plan in plans)),
        str(sum(plan.runs for plan in plans)),
        f"{sum(plan.tokens for plan in plans):,}",
    )
    lines = [f"seeds: {', '.join(map(str, study.seeds))}"]
    if study.tuning:
        grid = "; ".join(
            f"{name} {', '.join(map(str, values))}" for name, values in study.tuning.grid.items()
        )
        lines.append(f"a trial: {study.tuning.budget}, seed {study.tuning.seed}; grid: {grid}")
    return Group(Text(f"plan of {study.name}", style="bold"), table, *map(Text, lines))


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


def _plan_arm(study: Study, arm: Arm, dataset: Dataset) -> ArmPlan:
    candidates = list(arm.candidates().values())
    models = [_model(candidate, dataset) for candidate in candidates]
    if is_counted(arm):
        for candidate, model in zip(candidates, models, strict=True):
            context_policy(candidate.config, model)
        return ArmPlan(arm.name, None, 0, 0, len(models), dataset.splits["train"].counts.tokens)
    plan = plan_training(candidates[0].config, dataset, models[0])
    if not plan.objective.scores_text:
        raise UserError(
            f"arm {arm.name!r} predicts no text ({plan.objective.nats_of(models[0])}), so it has "
            "no bits per byte for a study to compare; train its runs by `lmjax train`"
        )
    trials = [*planned_trials(arm, study.tuning, Path()).values()] if study.tuning else []
    for trial in trials:
        _model(trial, dataset)
    return ArmPlan(
        name=arm.name,
        parameters=plan.cost.parameters,
        trials=len(trials),
        trial_tokens=training_tokens(trials[0], dataset) if trials else 0,
        runs=len(candidates) * len(study.seeds),
        run_tokens=training_tokens(candidates[0], dataset),
    )


def _model(arm: Arm, dataset: Dataset) -> LanguageModel:
    check_values(arm.config)
    return build_model(arm.config.model, dataset.tokenizer)
