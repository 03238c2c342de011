"""Devices, corpus, model and plan of a configuration: all that can be refused before it runs."""

from dataclasses import dataclass

from ml_collections import ConfigDict

from lmjax.data.augmentation import AugmentedStream
from lmjax.data.dataset import Dataset, open_dataset
from lmjax.data.tokenizer_registry import load_tokenizer
from lmjax.errors import UserError, nearest
from lmjax.evaluation.scoring import context_policy
from lmjax.evaluation.splits import check_splits
from lmjax.models.contract import LanguageModel
from lmjax.models.registry import build_model
from lmjax.objectives.contract import Objective
from lmjax.objectives.registry import check_objective, make_objective
from lmjax.runs.devices import prepare_devices
from lmjax.runs.run_directory import RunDirectory
from lmjax.runs.startup import Startup
from lmjax.runs.trackers import check_trackers
from lmjax.training.compile_cache import keep_compiled_programs
from lmjax.training.program import TrainingPlan, plan_training

SCORED = ("best", "last")


@dataclass(frozen=True)
class Prepared:
    """What a run is made of."""

    dataset: Dataset
    model: LanguageModel
    objective: Objective
    plan: TrainingPlan | None  # None for a model that is counted


def prepare(config: ConfigDict, startup: Startup | None = None) -> Prepared:
    """All of a run but its folder; raises UserError for what can't be run."""
    startup = startup or Startup()
    if config.evaluation.checkpoint not in SCORED:
        hint = nearest(config.evaluation.checkpoint, SCORED)
        raise UserError(f"unknown evaluation.checkpoint {config.evaluation.checkpoint!r}: {hint}")
    check_trackers(config.logging.get("trackers", ()))
    prepare_devices(config.execution.cpu_devices)
    keep_compiled_programs()
    dataset = open_dataset(config.data)
    startup.end("corpus")
    model = build_model(config.model, dataset.tokenizer)
    objective = make_objective(config.objective, dataset.tokenizer)
    check_objective(config, objective, model)
    check_splits(config.evaluation.splits, dataset, context_policy(config, model), objective)
    if not model.is_counted:
        plan = plan_training(config, dataset, model)
        startup.end("program")
        return Prepared(dataset, model, objective, plan)
    if config.training.initial_params:
        raise UserError(
            f"model {config.model.name!r} is counted and begins with no parameters; leave "
            "training.initial_params out"
        )
    if isinstance(dataset.splits["train"], AugmentedStream):
        raise UserError(
            f"model {config.model.name!r} is counted and reads each source once, as it is; leave "
            "data.augmentation and data.paraphrases out"
        )
    return Prepared(dataset, model, objective, None)


def check_tokenizer_of(run: RunDirectory, dataset: Dataset) -> None:
    """Raises UserError if the corpus has, since the run began, come to be read in other tokens."""
    if load_tokenizer(run.tokenizer_path).to_json() != dataset.tokenizer.to_json():
        raise UserError(
            f"the corpus has changed since {run.path} was begun: it gives another vocabulary; "
            "restore the corpus or choose another --workdir"
        )
