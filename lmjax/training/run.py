"""A run from its configuration to its results, resumed from wherever it stopped."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict
from rich.console import Console

from lmjax.checkpoints.identity import check_identity, identity
from lmjax.checkpoints.store import Checkpoints
from lmjax.data.dataset import Dataset, read_documents
from lmjax.data.tokenizer import Tokenizer
from lmjax.errors import UserError, writing
from lmjax.evaluation.scoring import context_policy
from lmjax.evaluation.splits import score_split
from lmjax.models.contract import LanguageModel
from lmjax.models.cost import ModelCost, counted_model_cost
from lmjax.objectives.contract import Objective
from lmjax.runs.devices import device_errors
from lmjax.runs.fields import check_values
from lmjax.runs.lock import only_writer
from lmjax.runs.ranges import beyond_training, without_effect
from lmjax.runs.run_directory import RunDirectory, storable
from lmjax.runs.signals import StopSignals
from lmjax.runs.startup import Startup
from lmjax.runs.terminal import say
from lmjax.runs.trackers import mirrored
from lmjax.tasks.predictions import answer_split, task_line
from lmjax.tasks.registry import kind_of
from lmjax.training.loop import TrainingLoop
from lmjax.training.metrics import cost_table, result_line
from lmjax.training.prepare import Prepared, check_tokenizer_of, prepare
from lmjax.training.state import CountedState


class _Trained(NamedTuple):
    """What answers to documents take of a model."""

    model: LanguageModel
    params: Any
    tokenizer: Tokenizer
    objective: Objective
    config: ConfigDict


def train(
    config: ConfigDict,
    workdir: Path | str,
    console: Console | None = None,
    *,
    startup: Startup | None = None,
) -> dict:
    """Trains, or goes on training, the run of `workdir`; returns its results.

    A finished run is left as it is, unless `training.duration` is longer than the one it had: it
    then goes on under the schedule of the longer one. What the first step had to wait for is said
    from what `startup` knows on. Raises UserError, before anything is written, for a configuration
    that cannot be run or a directory of another run, and later for a loss that is not finite;
    Stopped if a signal ends it before.
    """
    console, startup = console or Console(), startup or Startup()
    run = checked_run(config, workdir)
    if is_done(run, config):
        return finished(run, console)
    with StopSignals() as signals, device_errors():
        prepared = prepare(config, startup)
        with held(run, config, prepared, console) as is_left:
            if not is_left:  # the writer before has done it
                return finished(run, console)
            begin(run, config, prepared, console)
            startup.end("run directory")
            if prepared.plan is None:
                trained = _count(run, config, prepared.dataset, prepared.model, console)
            else:
                loop = TrainingLoop(run, prepared.plan, console, signals=signals, startup=startup)
                trained = loop.run_to_end(), prepared.plan.cost, loop.summary()
            return conclude(run, config, prepared, *trained, console)


def checked_run(config: ConfigDict, workdir: Path | str) -> RunDirectory:
    """The run of `workdir`, untouched; raises UserError if it can't be that of `config`."""
    check_values(config)
    run = RunDirectory(workdir)
    with writing(run.path):  # also where it is too long
        run.check(config)
    return run


@contextmanager
def held(
    run: RunDirectory, config: ConfigDict, prepared: Prepared, console: Console
) -> Iterator[bool]:
    """Within, this process alone writes the run, whose folder is made; yields whether it is left.

    Raises UserError if the run can't be begun or gone on with, InUseError if another has it.
    """
    if prepared.plan and not run.is_begun:
        prepared.plan.check_beginning()
    if run.is_finished:
        _check_longer(run, config, prepared)
    with only_writer(run.path) as taken_over:
        if is_done(run, config):
            yield False
            return
        if run.is_finished:
            run.reopen(config, run.trained()["steps"])
        run.create(config)
        if taken_over:
            run.log(taken_over)
            say(console, taken_over)
        with mirrored(run, config, console):
            yield True


def is_done(run: RunDirectory, config: ConfigDict) -> bool:
    """Whether it is finished, with the duration that it is to have."""
    return run.is_finished and run.duration_done() == config.training.duration


def _check_longer(run: RunDirectory, config: ConfigDict, prepared: Prepared) -> None:
    steps = run.trained()["steps"]
    if prepared.plan is None or prepared.plan.clock.total_steps <= steps:
        raise UserError(
            f"{run.path} is finished after {steps:,} steps, and training.duration "
            f"{config.training.duration!r} is not longer; give a longer one to let it go on, or "
            "choose another --workdir"
        )


def finished(run: RunDirectory, console: Console) -> dict:
    """The results of a run that has nothing left to do."""
    say(console, f"{run.path} is finished: nothing to do")
    return run.results()


def begin(run: RunDirectory, config: ConfigDict, prepared: Prepared, console: Console) -> None:
    """Keeps what a run is made with, and says what there is to say before it."""
    run.write_environment()
    if not run.tokenizer_path.exists():
        with writing(run.tokenizer_path):
            prepared.dataset.tokenizer.save(run.tokenizer_path)
    check_tokenizer_of(run, prepared.dataset)
    is_counted = prepared.model.is_counted
    remarks = prepared.dataset.left_out()
    if prepared.plan:
        remarks += prepared.plan.remarks()
    for line in remarks + without_effect(config, is_counted) + beyond_training(config, is_counted):
        run.log(line)
        say(console, line)


def conclude(
    run: RunDirectory,
    config: ConfigDict,
    prepared: Prepared,
    params: Any,
    cost: ModelCost,
    training: dict[str, Any],
    console: Console,
) -> dict[str, Any]:
    """Scores what was trained and writes the results, which it returns."""
    streams = prepared.dataset.splits
    results = {
        "model": storable(config)["model"]["name"],
        "corpus": config.data.corpus,
        "seed": config.seed,
        "splits": _scores(run, config, prepared, params, training, console),
        "fingerprints": {split: stream.fingerprint for split, stream in streams.items()},
        **cost.to_json(),
        "training": training,
    }
    run.write_results(results)
    return run.results()


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
        "duration": config.training.duration,
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


def _scores(run, config, prepared, params, training, console) -> dict[str, Any]:
    """Scores of the splits that `config.evaluation.splits` names, and of the answers to them."""
    policy, scores = context_policy(config, prepared.model), {}
    kind = kind_of(config)
    documents = read_documents(config.data)[0] if kind and kind.after_training else {}
    trained = _Trained(
        prepared.model, params, prepared.dataset.tokenizer, prepared.objective, config
    )
    for split in config.evaluation.splits:
        score = score_split(
            run,
            prepared.dataset,
            split,
            prepared.model,
            params,
            policy,
            config.data.batch_size,
            prepared.objective,
            step=training["scored_step"],
            reader="training, at its end (evaluation.splits)",
            console=console,
        )
        scores[split] = score.to_json()
        lines = [result_line({**scores[split], "split": split})]
        if documents:
            answered = answer_split(kind, trained, documents, split, console)
            answered.keep(run, split)
            scores[split]["task"] = answered.measured
            lines.append(task_line(split, answered.measured))
        for line in lines:
            run.log(line)
            say(console, line)
    return scores
