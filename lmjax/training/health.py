"""Whether a step was healthy: finite, and its loss no spike; and what to do where it was not."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from lmjax.errors import LOWER, UserError, nearest
from lmjax.training.position import Position

ON_NONFINITE = ("stop", "skip", "rollback")
ON_SPIKE = ("log", "stop", "rollback")
MEMORY = 100  # steps that the running mean of the loss looks back on, and that it needs first


@dataclass
class Unhealthy(Exception):
    """A step that `remedy` (stop, skip, rollback or log) is to be applied to, as `field` says."""

    what: str
    remedy: str
    field: str

    @property
    def cure(self) -> str:
        """What a user whose run it ended may do."""
        if self.remedy != "stop":
            return f"raise health.retries, or {LOWER}"
        return f"set health.{self.field} to one of its other choices, or {LOWER}"


def check_health(health: ConfigDict) -> None:
    """Raises UserError for a policy that does not exist."""
    for field, known in (("on_nonfinite", ON_NONFINITE), ("on_spike", ON_SPIKE)):
        if health[field] not in known:
            hint = nearest(health[field], known)
            raise UserError(f"unknown health.{field} {health[field]!r}: {hint}")


def diagnosis(metrics: dict[str, Any], leaf_names: list[str]) -> str | None:
    """What of a step was not finite, naming the first leaf; None if all was finite."""
    gradient_L = np.isfinite(metrics["squared_norms_L"])
    before_L, after_L = metrics["before_finite_L"], metrics["after_finite_L"]
    finite = np.isfinite(metrics["nats"])
    if finite and gradient_L.all() and before_L.all() and after_L.all():
        return None
    if not before_L.all():
        return f"the parameter {_first_bad(before_L, leaf_names)} was not finite before the step"
    loss = f"the loss is {float(metrics['nats'] / metrics['weight'])}"
    if not gradient_L.all():
        bad = _first_bad(gradient_L, leaf_names)
        return (
            f"{loss}, the gradient of {bad} (the first of {(~gradient_L).sum()}) not finite or too "
            "large to be squared"
        )
    if not finite:
        return f"{loss}, with a gradient that is finite"
    return f"the parameter {_first_bad(after_L, leaf_names)} is not finite after the step"


def is_spike(position: Position, loss: float, deviations: float) -> bool:
    """Whether `loss` is that many mean deviations above its running mean, which it then joins."""
    border = position.loss_mean + deviations * position.loss_deviation
    spike = bool(deviations) and position.losses >= MEMORY and loss > border
    joining = border if spike else loss  # so that one spike does not hide the next
    share = max(1 / (position.losses + 1), 1 / MEMORY)
    distance = abs(joining - position.loss_mean) if position.losses else 0.0
    position.loss_mean += share * (joining - position.loss_mean)
    position.loss_deviation += share * (distance - position.loss_deviation)
    position.losses += 1
    position.spikes += spike
    return spike


def examine(
    position: Position, metrics: dict[str, Any], leaf_names: list[str], health: ConfigDict
) -> None:
    """Takes a step's loss into the position's figures; raises Unhealthy if it was not healthy."""
    if what := diagnosis(metrics, leaf_names):
        mendable = health.on_nonfinite != "skip" or metrics["before_finite_L"].all()
        remedy = health.on_nonfinite if mendable else "stop"
        raise Unhealthy(what, remedy, "on_nonfinite")
    nats, weight = float(metrics["nats"]), float(metrics["weight"])
    position.nats += nats
    position.weight += weight
    position.right += float(metrics["right"] or 0.0)
    loss, before = nats / max(weight, 1.0), position.loss_mean
    spiking = position.spiking
    position.spiking = is_spike(position, loss, health.spike_deviations)
    if position.spiking and not spiking:
        what = f"the loss rose to {loss:.4f} from about {before:.4f}"
        raise Unhealthy(what, health.on_spike, "on_spike")


def _first_bad(finite_L: np.ndarray, leaf_names: list[str]) -> str:
    return leaf_names[int(np.argmin(finite_L))]
