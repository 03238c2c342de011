"""A step that went wrong, run again from the checkpoint before it, and looked at from inside."""

from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.console import Console
from rich.table import Table

from lmjax.checkpoints.store import Checkpoints
from lmjax.data.batch import Batch
from lmjax.errors import UserError
from lmjax.models.contract import LanguageModel
from lmjax.nn.leaves import leaf_name
from lmjax.runs.files import array_from_json, read_json
from lmjax.runs.run_directory import RunDirectory
from lmjax.runs.terminal import progress_bar
from lmjax.training.health import diagnosis
from lmjax.training.prepare import check_tokenizer_of, prepare
from lmjax.training.program import TrainingPlan
from lmjax.training.state import TrainState

DTYPES = {
    "tokens_BT": np.int32,
    "targets_BT": np.int32,
    "weights_BT": np.float32,
    "segment_ids_BT": np.int32,
    "positions_BT": np.int32,
    "continues_B": np.bool_,
    "source_BS": np.int32,
    "source_weights_BS": np.float32,
    "token_types_BT": np.int32,
    "is_next_B": np.bool_,
}


def replay(workdir: Path, console: Console, step: int | None = None) -> str | None:
    """Runs `step` (without it, the last that is kept) again; returns what was not finite, or None.

    The run directory is only read. What validation decided since the checkpoint (the rate of the
    schedule `plateau`) is not decided again. Raises UserError if no such step was kept.
    """
    run = RunDirectory(workdir)
    config = run.config()
    step, batch = _kept_batch(run, step)
    prepared = prepare(config)
    check_tokenizer_of(run, prepared.dataset)
    model, plan = prepared.model, prepared.plan
    state, again = _state_before(run, plan, step, console)
    before = plan.execution.fetch_state(state)
    _, metrics = plan.execution(state, plan.execution.place_batch(batch))
    metrics = plan.execution.fetch(metrics)
    what = diagnosis(metrics, plan.leaf_names)
    table = Table(title=f"step {step} of {workdir}", title_justify="left", show_header=False)
    table.add_row("the pipeline gives the kept batch", "yes" if _same(batch, again) else "no")
    table.add_row("loss", f"{metrics['nats'] / metrics['weight']:.6g} nats/token")
    table.add_row("gradient norm", f"{metrics['gradient_norm']:.6g}")
    table.add_row("learning rate", f"{metrics['learning_rate']:.6g}")
    table.add_row("largest parameter before", _largest(before.trained))
    table.add_row("first output not finite", _first_bad_output(model, before, batch) or "none")
    table.add_row("verdict", what or "all finite: it did not happen again")
    console.print(table)
    return what


def _kept_batch(run: RunDirectory, step: int | None) -> tuple[int, Batch]:
    kept = {int(path.stem.removeprefix("step_")): path for path in run.kept_batches()}
    if not kept or (step is not None and step not in kept):
        steps = ", ".join(map(str, sorted(kept))) or "none"
        wanted = "a step" if step is None else f"step {step}"
        raise UserError(f"{run.path} keeps no batch of {wanted} that went wrong (kept: {steps})")
    step = max(kept) if step is None else step
    content = read_json(kept[step])
    try:
        arrays = {
            field.name: None
            if content[field.name] is None
            else array_from_json(content[field.name], DTYPES[field.name])
            for field in fields(Batch)
        }
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{kept[step]} is no batch ({error}); delete it") from error
    return step, Batch(**arrays)


def _state_before(
    run: RunDirectory, plan: TrainingPlan, step: int, console: Console
) -> tuple[TrainState, Batch]:
    """The state on the devices before `step`, and the batch that the pipeline gives next."""
    batches = plan.batches()
    checkpoints = Checkpoints(run.checkpoints, read_only=True, say=console.print)
    begin = max((kept for kept in checkpoints.steps if kept < step), default=0)
    if begin in checkpoints.steps:
        batches.set_state(checkpoints.about(begin)["position"]["data"])
        state = checkpoints.restore(begin, plan.abstract_state())
    else:
        state = plan.fresh_state()
    checkpoints.close()
    state = plan.execution.place_state(state, plan.named)
    with progress_bar(console, f"from step {begin}", step - 1 - begin) as advance:
        for _ in range(begin, step - 1):
            state, _ = plan.execution(state, plan.execution.place_batch(next(batches)))
            advance()
    return state, next(batches)


def _same(batch: Batch, other: Batch) -> bool:
    same = partial(np.array_equal, equal_nan=True)
    return all(map(same, jax.tree.leaves(batch), jax.tree.leaves(other)))


def _largest(params: Any) -> str:
    """The leaf with the largest absolute value; a NaN is larger than any."""
    largest = {
        leaf_name(path): float(np.abs(leaf).max())
        for path, leaf in jax.tree_util.tree_leaves_with_path(params)
    }
    name = max(largest, key=lambda name: (np.isnan(largest[name]), largest[name]))
    return f"{largest[name]:.6g} in {name}"


def _first_bad_output(model: LanguageModel, state: TrainState, batch: Batch) -> str | None:
    """The module that was the first to return what is not finite, without dropout."""
    _, captured = model.apply(
        state.trained,
        batch.tokens_BT,
        state.carry,
        **batch.inputs(),
        capture_intermediates=True,
        mutable=["intermediates"],
    )
    for name, leaf in _in_order(captured["intermediates"]):
        if np.issubdtype(leaf.dtype, np.inexact) and not np.isfinite(leaf).all():
            return name
    return None


def _in_order(tree: Any, path: tuple[str, ...] = ()):
    """The leaves of nested dictionaries and tuples in the order in which they were made."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from _in_order(value, path if key == "__call__" else (*path, key))
    elif isinstance(tree, list | tuple):
        for value in tree:
            yield from _in_order(value, path)
    elif tree is not None:
        yield "/".join(path) or "the model", np.asarray(tree)
