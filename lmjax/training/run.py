"""A run from its configuration to its results, resumed from wherever it stopped."""

import time
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict
from rich.console import Console

from lmjax.checkpoints.identity import check_identity, identity
from lmjax.checkpoints.store import Checkpoints
from lmjax.data.dataset import Dataset, open_dataset
from lmjax.data.tokenizer_registry import load_tokenizer
from lmjax.errors import UserError, nearest, writing
from lmjax.evaluation.scoring import context_policy, score_stream
from lmjax.models.contract import LanguageModel
from lmjax.models.cost import ModelCost, counted_model_cost
from lmjax.models.registry import build_model
from lmjax.runs.devices import device_errors, prepare_devices
from lmjax.runs.fields import check_values
from lmjax.runs.lock import only_writer
from lmjax.runs.run_directory import RunDirectory
from lmjax.runs.signals import StopSignals
from lmjax.runs.terminal import say
from lmjax.training.compile_cache import keep_compiled_programs
from lmjax.training.loop import TrainingLoop
from lmjax.training.metrics import cost_table, evaluation_line
from lmjax.training.program import plan_training
from lmjax.training.state import CountedState


def train(config: ConfigDict, workdir: Path | str, console: Console | None = None) -> dict:
    """Trains, or goes on training, the run of `workdir`; returns its results.

    A finished run is left as it is. Raises UserError for a configuration that cannot be run, a
    directory of another run, or a loss that is not finite; Stopped if a signal ends it before.
    """
    console = console or Console()
    check_values(config)
    run = RunDirectory(workdir)
    with writing(run.path):  # also where it is too long
        run.check(config)
    if run.is_finished:
        return _finished(run, console)
    _check(config)
    with StopSignals() as signals, device_errors(), only_writer(run.path) as taken_over:
        if run.is_finished:  # by now: by the writer before
            return _finished(run, console)
        run.create(config)
        if taken_over:
            run.log(taken_over)
            say(console, taken_over)
        return _train(run, config, console, signals)


def _finished(run: RunDirectory, console: Console) -> dict:
    say(console, f"{run.path} is finished: nothing to do")
    return run.results()


def _train(run: RunDirectory, config: ConfigDict, console: Console, signals: StopSignals) -> dict:
    prepare_devices(config.execution.cpu_devices)
    keep_compiled_programs()
    run.write_environment()
    dataset = open_dataset(config.data)
    if not run.tokenizer_path.exists():
        with writing(run.tokenizer_path):
            dataset.tokenizer.save(run.tokenizer_path)
    check_tokenizer_of(run, dataset)
    model = build_model(config.model, dataset.tokenizer)
    if model.is_counted:
        params, cost, training = _count(run, config, dataset, model, console)
    else:
        plan = plan_training(config, dataset, model)
        loop = TrainingLoop(run, plan, console, signals=signals)
        params = loop.run_to_end()
        cost, training = plan.cost, loop.summary()
    results = {
        "model": config.model.name,
        "corpus": config.data.corpus,
        "seed": config.seed,
        "splits": _scores(run, config, dataset, model, params, training, console),
        **cost.to_json(),
        "training": training,
    }
    run.write_results(results)
    return results


def check_tokenizer_of(run: RunDirectory, dataset: Dataset) -> None:
    """Raises UserError if the corpus has, since the run began, come to be read in other tokens."""
    if load_tokenizer(run.tokenizer_path).to_json() != dataset.tokenizer.to_json():
        raise UserError(
            f"the corpus has changed since {run.path} was begun: it gives another vocabulary; "
            "restore the corpus or choose another --workdir"
        )


def _check(config: ConfigDict):
    """What would otherwise fail late; raises UserError."""
    checkpoints = ("best", "last")
    if config.evaluation.checkpoint not in checkpoints:
        hint = nearest(config.evaluation.checkpoint, checkpoints)
        raise UserError(f"unknown evaluation.checkpoint {config.evaluation.checkpoint!r}: {hint}")


def _count(
    run: RunDirectory,
    config: ConfigDict,
    dataset: Dataset,
    model: LanguageModel,
    console: Console,
) -> tuple[Any, ModelCost, dict[str, Any]]:
    """Fits a model that is counted rather than trained by gradient, and saves it."""
    train_stream = dataset.splits["train"]
    checkpoints = Checkpoints(run.checkpoints)
    step = checkpoints.newest_intact()
    if step is None:
        start = time.monotonic()
        params = model.fit([train_stream])
        seconds = time.monotonic() - start
        about = {"seconds": seconds, **identity(config, train_stream)}
        checkpoints.save(CountedState(np.int32(0), params), about)
    else:
        about = checkpoints.about(step)
        check_identity(about, config, train_stream, run.checkpoints / str(step))
        seconds, params = about["seconds"], checkpoints.restore_params(step)
    checkpoints.close()
    cost = counted_model_cost(model, params, config.data.length)
    console.print(cost_table(config, cost))
    training = {
        "steps": 0,
        "tokens": train_stream.counts.tokens,
        "distinct_tokens": train_stream.counts.tokens,
        "seconds": seconds,
        "compile_seconds": 0.0,
        "scored_step": 0,
        "stopped_early": False,
        "devices": 1,
    }
    return params, cost, training


def _scores(run, config, dataset, model, params, training, console) -> dict[str, Any]:
    """The scores of the held-out splits; that a test split was read stands in the log."""
    scores = {}
    for split, stream in dataset.splits.items():
        if split == "train":
            continue
        policy = context_policy(config, model)
        score = score_stream(model, params, stream, policy, config.data.batch_size)
        scores[split] = score.to_json()
        row = {**scores[split], "step": training["scored_step"], "split": split}
        line = f"result | {evaluation_line(row)}"
        run.log(line)
        say(console, line)
    return scores
