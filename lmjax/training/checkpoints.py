"""Checkpoints: the one module that knows Orbax.

A checkpoint is the parameters, the rest of the train state (optimizer, carried state) and the
position (data, timers, best score so far): all of it, committed, or it is not seen.
"""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import AnyPreservationPolicy, BestN, LatestN
from orbax.checkpoint.options import AtomicityMode, AtomicityOptions

from lmjax.errors import UserError
from lmjax.training.state import TrainState

logging.getLogger("absl").setLevel(logging.ERROR)  # Orbax warns of options that it was given


class Checkpoints:
    """The checkpoints of one run directory: the `keep` newest, and the best on validation."""

    def __init__(self, folder: Path, keep: int = 1, *, read_only: bool = False):
        best = BestN(
            get_metric_fn=lambda metrics: (metrics["nats_per_token"], metrics["step"]),
            reverse=True,
            n=1,
            keep_checkpoints_without_metrics=False,
        )
        self._manager = ocp.CheckpointManager(
            folder.absolute(),
            options=ocp.CheckpointManagerOptions(
                preservation_policy=AnyPreservationPolicy([LatestN(max(1, keep)), best]),
                atomicity_options=AtomicityOptions(mode=AtomicityMode.COMMIT_FILE),
                cleanup_tmp_directories=not read_only,
                create=not read_only,
                read_only=read_only,
                enable_async_checkpointing=False,
            ),
        )

    @property
    def latest(self) -> int | None:
        """The step of the newest committed checkpoint; None if there is none."""
        return self._manager.latest_step()

    def save(self, state: TrainState, position: dict[str, Any], nats_per_token: float | None):
        """Saves host arrays and what is JSON; a validation score makes it a candidate for best."""
        step = int(state.step)
        metrics = {"nats_per_token": nats_per_token, "step": step}
        self._manager.save(
            step,
            args=ocp.args.Composite(
                params=ocp.args.StandardSave(state.params),
                state=ocp.args.StandardSave(_without_params(state)),
                position=ocp.args.JsonSave(position),
            ),
            metrics=None if nats_per_token is None else metrics,
            force=True,
        )

    def position(self, stream: str) -> dict[str, Any]:
        """The position alone of the newest checkpoint.

        Raises UserError if its tokens were not those of the fingerprint `stream`.
        """
        restored = self._manager.restore(
            self.latest, args=ocp.args.Composite(position=ocp.args.JsonRestore())
        )
        position = restored["position"]
        if position["stream"] != stream:
            raise UserError(
                "the corpus no longer gives the tokens that this run was trained on; restore the "
                "corpus or choose another --workdir"
            )
        return position

    def restore(self, like: TrainState) -> TrainState:
        """The newest checkpoint's state as host arrays in the shape of `like`."""
        restored = self._manager.restore(
            self.latest,
            args=ocp.args.Composite(
                params=ocp.args.StandardRestore(_host(like.params)),
                state=ocp.args.StandardRestore(_host(_without_params(like))),
            ),
        )
        return replace(like, params=restored["params"], **restored["state"])

    def restore_params(self, step: int) -> Any:
        """The parameters alone of the checkpoint at `step`; raises UserError if it is not kept."""
        if step not in self._manager.all_steps():
            kept = ", ".join(map(str, sorted(self._manager.all_steps()))) or "none"
            raise UserError(f"there is no checkpoint at step {step} (kept: {kept})")
        restored = self._manager.restore(
            step, args=ocp.args.Composite(params=ocp.args.StandardRestore())
        )
        return restored["params"]

    def close(self):
        """Ends Orbax's threads."""
        self._manager.close()


def _without_params(state: TrainState) -> dict[str, Any]:
    return {
        "step": state.step,
        "optimizer_state": state.optimizer_state,
        "carry": state.carry,
        "learning_rate_scale": state.learning_rate_scale,
    }


def _host(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), tree)
