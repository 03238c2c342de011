"""What reliability costs: seconds and bytes of a large checkpoint, and of a step beside saves.

`python tests/torture/costs.py` prints Markdown. Nothing else should run on the machine.
"""

import argparse
import io
import statistics
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp
from rich.console import Console

from lmjax.checkpoints.manifest import verified_leaves
from lmjax.checkpoints.store import Checkpoints
from lmjax.config import base_config
from lmjax.data.batch import Batch
from lmjax.data.dataset import open_dataset
from lmjax.errors import Stopped
from lmjax.models.registry import build_model
from lmjax.runs.run_directory import RunDirectory
from lmjax.training.loop import TrainingLoop
from lmjax.training.program import TrainingPlan, plan_training
from lmjax.training.state import TrainState
from tests.toy_states import training_state

LEAVES = 50
EVERY = 10  # steps between saves


def adam_state(parameters: int) -> TrainState:
    """Random parameters in LEAVES matrices, with the two moments of Adam."""
    generator = np.random.default_rng(0)
    width = 1000
    rows = parameters // LEAVES // width

    def tree():
        return {
            f"kernel_{i}": generator.standard_normal((rows, width), np.float32)
            for i in range(LEAVES)
        }

    return training_state(1, tree(), (tree(), tree()))


def checkpoint_costs(folder: Path, parameters: int) -> dict[str, float]:
    """Seconds and bytes of a checkpoint, beside those of Orbax alone on the same arrays."""
    state, costs = adam_state(parameters), {}
    costs["bytes of arrays"] = sum(leaf.nbytes for leaf in jax.tree.leaves(state))
    (folder / "ours").mkdir()
    checkpoints = Checkpoints(folder / "ours")
    with _timed(costs, "save: training waits"):
        checkpoints.save(state, {})
    with _timed(costs, "save: in the background after that"):
        checkpoints.wait()
    files = [path for path in (folder / "ours").rglob("*") if path.is_file()]
    costs["bytes on disk"] = sum(path.stat().st_size for path in files)
    with _timed(costs, "verify every file's digest"):
        verified_leaves(folder / "ours" / "1")
    checkpoints.newest_intact()
    with _timed(costs, "restore after that"):
        checkpoints.restore(1, state)
    checkpoints.close()
    plain = ocp.CheckpointManager(
        folder / "orbax", options=ocp.CheckpointManagerOptions(enable_async_checkpointing=False)
    )
    arrays = {"params": state.params, "moments": state.optimizer_state}
    with _timed(costs, "Orbax alone: save"):
        plain.save(1, args=ocp.args.StandardSave(arrays))
    with _timed(costs, "Orbax alone: restore"):
        plain.restore(1, args=ocp.args.StandardRestore(arrays))
    plain.close()
    return costs


class Watched(TrainingLoop):
    """A training that saves every so often and notes when each step was begun."""

    def __init__(self, run: RunDirectory, plan: TrainingPlan, every: int, wait: bool, steps: int):
        super().__init__(run, plan, Console(file=io.StringIO()), stop_at=steps)
        self.save_every, self.wait, self.begun = every, wait, []

    def _pull(self) -> Batch:
        if self.wait:
            self.checkpoints.wait()
        self.begun.append(time.monotonic())
        return super()._pull()


def step_costs(folder: Path, rounds: int, steps: int) -> dict[str, list[float]]:
    """Milliseconds a step of one training in each round: without saves, with them, waited for."""
    plan = _gpt(folder)
    kinds = {
        "no save": (0, False),
        f"a save every {EVERY} steps": (EVERY, False),
        "the same, each waited for": (EVERY, True),
    }
    found = {kind: [] for kind in kinds}
    for number in range(rounds + 1):
        for kind, (every, wait) in kinds.items():
            run = RunDirectory(folder / f"{kind} {number}")
            run.create(plan.config)
            training = Watched(run, plan, every, wait, steps)
            with suppress(Stopped):
                training.run_to_end()
            if number:  # the first round compiles
                span = training.begun[-1] - training.begun[0]
                found[kind].append(1000 * span / (len(training.begun) - 1))
    return found


def _gpt(folder: Path) -> TrainingPlan:
    """nanoGPT's CPU recipe on a made-up text."""
    words = np.random.default_rng(0).choice(["the", "cat", "sat", "on", "a", "mat"], 20_000)
    (folder / "text.txt").write_text("\n".join(" ".join(part) for part in words.reshape(-1, 8)))
    config = base_config("transformer")
    config.data.update(corpus="text", files=str(folder / "text.txt"), batch_size=12, length=64)
    config.model.update(layers=4, heads=4, width=128, context_length=64)
    config.training.update(duration="100000 steps", clip_norm=1.0)
    config.evaluation.every = config.logging.every = "100000 steps"
    dataset = open_dataset(config.data)
    return plan_training(config, dataset, build_model(config.model, dataset.tokenizer))


@contextmanager
def _timed(costs: dict[str, float], name: str):
    begin = time.monotonic()
    yield
    costs[name] = time.monotonic() - begin


def main() -> None:
    """Measures both and prints two tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parameters", type=int, default=100_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=100)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print("| a checkpoint | |\n|---|---|")
        print(f"| parameters, with Adam's two moments | {arguments.parameters:,} |")
        for name, value in checkpoint_costs(Path(folder), arguments.parameters).items():
            shown = f"{value:,}" if name.startswith("bytes") else f"{value:.2f} s"
            print(f"| {name} | {shown} |", flush=True)
        print("\n| a step | milliseconds, median over rounds | all rounds |\n|---|---|---|")
        for kind, times in step_costs(Path(folder), arguments.rounds, arguments.steps).items():
            rounds = ", ".join(f"{milliseconds:.1f}" for milliseconds in times)
            print(f"| {kind} | {statistics.median(times):.1f} | {rounds} |")


if __name__ == "__main__":
    main()
