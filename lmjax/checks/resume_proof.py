"""A proof, on the user's own configuration, that a resumed run is the run that never stopped."""

import io
import shutil
import tempfile
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict
from rich.console import Console

from lmjax.errors import Stopped, UserError
from lmjax.nn.leaves import leaf_name
from lmjax.runs.run_directory import RunDirectory
from lmjax.runs.signals import undone_at_the_end
from lmjax.training.loop import TrainingLoop
from lmjax.training.metrics import CLOCKS
from lmjax.training.prepare import prepare
from lmjax.training.program import TrainingPlan, plan_training


def verify_resume(config: ConfigDict, console: Console, steps: int = 10) -> list[str]:
    """Trains 2 x `steps` without a stop, and with one in the middle; returns what differs.

    Compared bit for bit are the state (parameters, optimizer, carried state), the position with its
    chain of examples, and the metrics but for clocks. All is done in a temporary folder. Raises
    UserError for a model that is counted, or a training of fewer than two steps.
    """
    prepared = prepare(config)
    plan = prepared.plan
    if plan is None:
        raise UserError(
            f"model {config.model.name!r} is counted in one go: it has no step to resume at"
        )
    total = plan.clock.total_steps
    if total < 2 or steps < 1:
        raise UserError(f"{steps} and {steps} of {total} steps can't be trained; give more steps")
    middle = min(steps, total // 2)
    end = 2 * middle

    def planned() -> TrainingPlan:
        return plan_training(config, prepared.dataset, prepared.model)

    with (
        tempfile.TemporaryDirectory(prefix="lmjax-verify-") as folder,
        undone_at_the_end(partial(shutil.rmtree, folder)),
    ):
        console.print(f"training {end} steps without a stop")
        straight = outcome_at(Path(folder, "straight"), plan, end)
        console.print(f"training {middle} steps, then going on to {end}")
        outcome_at(Path(folder, "stopped"), planned(), middle)
        stopped = outcome_at(Path(folder, "stopped"), planned(), end)
    return differing(straight, stopped)


def outcome_at(path: Path, plan: TrainingPlan, stop_at: int) -> dict[str, Any]:
    """Trains the run in `path` up to a step; returns all that must be equal there, by name."""
    run = RunDirectory(path)
    run.create(plan.config)
    loop = TrainingLoop(run, plan, Console(file=io.StringIO()), stop_at=stop_at)
    with suppress(Stopped):
        loop.run_to_end()
    state = loop.seat.fetch_state()
    outcome = {
        leaf_name(path): np.asarray(leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(state)
    }
    for name, value in asdict(loop.position).items():
        if not name.endswith("seconds") and name != "untimed_weight":
            outcome[f"position: {name}"] = value
    for row in run.metrics():
        for name in row.keys() - CLOCKS:
            outcome[f"metrics: {row['kind']} step {row['step']} {name}"] = row[name]
    return outcome


def differing(first: dict[str, Any], second: dict[str, Any]) -> list[str]:
    """A line for everything that is not the same, bit for bit, in two outcomes."""
    return [
        f"{name} differs: {first.get(name)} and {second.get(name)}"
        for name in {**first, **second}
        if not _equal(first.get(name), second.get(name))
    ]


def _equal(first: Any, second: Any) -> bool:
    if isinstance(first, np.ndarray) and isinstance(second, np.ndarray):
        return first.dtype == second.dtype and first.tobytes() == second.tobytes()
    return first == second
