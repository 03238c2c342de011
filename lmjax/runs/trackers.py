"""Rows of metrics mirrored to TensorBoard and Weights & Biases, beside `metrics.jsonl`.

Both lie in `trackers/` of the run directory. A tracker that fails is left out from then on: no run
ends, and no number of it changes, because of one.
"""

import importlib
import os
import secrets
from collections.abc import Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict
from rich.console import Console

from lmjax.errors import UserError, nearest
from lmjax.runs.files import write_atomically
from lmjax.runs.metrics import Row
from lmjax.runs.run_directory import RunDirectory, storable
from lmjax.runs.secrets import redact
from lmjax.runs.terminal import say


class TensorBoard:
    """Event files in `folder`, as `tensorboard --logdir` reads them."""

    package = "tensorboardX"

    def __init__(self, folder: Path, config: dict[str, Any]):
        self._folder, self._writer, self._step = folder, None, 0

    def write(self, step: int, values: dict[str, float]) -> None:
        if step < self._step:  # after a rollback
            self.close()
        if self._writer is None:
            from tensorboardX import SummaryWriter

            # Numbered, since names of one second would be the same.
            number = len(list(self._folder.glob("events.*")))
            self._writer = SummaryWriter(
                str(self._folder),
                purge_step=step,  # what was written of it and later steps before is replaced
                filename_suffix=f".{number:04}",
            )
        self._step = step
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


class WeightsAndBiases:
    """A run of the project `lmjax` of Weights & Biases; its variables, WANDB_*, hold as always.

    LMJAX_OFFLINE=1 keeps it in `folder`, from where `wandb sync` sends it.
    """

    package = "wandb"

    def __init__(self, folder: Path, config: dict[str, Any]):
        import wandb

        folder.mkdir(parents=True, exist_ok=True)
        kept_id = folder / "id.txt"  # a resumed run goes on under the same one
        if not kept_id.exists():
            write_atomically(kept_id, secrets.token_hex(8))
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "lmjax"),
            name=folder.parent.parent.name,
            dir=str(folder),
            id=kept_id.read_text(),
            resume="allow",
            config=config,
            mode="offline" if os.environ.get("LMJAX_OFFLINE") == "1" else None,
            settings=wandb.Settings(console="off", silent=True),
        )
        self._run.define_metric("*", step_metric="step")  # steps may come again after a rollback

    def write(self, step: int, values: dict[str, float]) -> None:
        self._run.log({"step": step, **values})

    def close(self) -> None:
        self._run.finish()


TRACKERS = {"tensorboard": TensorBoard, "wandb": WeightsAndBiases}


def check_trackers(names: Iterable[str]) -> None:
    """Raises UserError for a tracker that is unknown, or whose package is not installed."""
    for name in names:
        if name not in TRACKERS:
            raise UserError(f"unknown logging.trackers {name!r}: {nearest(name, TRACKERS)}")
        package = TRACKERS[name].package
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise UserError(
                f"logging.trackers has {name!r}, which needs {package} ({error}); "
                "pip install 'lmjax[track]', or leave it out"
            ) from error


@contextmanager
def mirrored(run: RunDirectory, config: ConfigDict, console: Console):
    """Within, the rows of metrics of `run` go to its `logging.trackers` as well."""
    mirrors = []

    def attempt(name: str, do, *arguments) -> None:
        try:
            do(*arguments)
        except Exception as error:
            mirrors[:] = [mirror for mirror in mirrors if mirror[0] != name]
            line = f"{name} failed ({redact(str(error))}); the run goes on without it"
            run.log(line)
            say(console, line)

    def start(name: str) -> None:
        tracker = TRACKERS[name](run.path / "trackers" / name, storable(config))
        mirrors.append((name, tracker))

    def mirror(row: Row) -> None:
        for name, tracker in list(mirrors):
            attempt(name, tracker.write, row["step"], _scalars(row))

    for name in config.logging.get("trackers", ()):
        attempt(name, start, name)
    run.mirror = mirror
    try:
        yield
    finally:
        run.mirror = None
        for name, tracker in list(mirrors):
            attempt(name, tracker.close)


def _scalars(row: Row) -> dict[str, float]:
    """The numbers of a row by names such as `train/loss` and `validation/perplexity`."""
    group = row.get("split") or row["kind"]
    beside = {
        f"{kind}/{name}": value
        for kind in ("extras", "measures")
        for name, value in row.get(kind, {}).items()
    }
    return {
        f"{group}/{name}": value
        for name, value in {**row, **beside}.items()
        if isinstance(value, int | float) and name != "step"
    }
