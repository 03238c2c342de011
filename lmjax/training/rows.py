"""The rows of metrics that training writes."""

import math
from typing import Any

from lmjax.evaluation.score import Score
from lmjax.training.position import Position
from lmjax.training.setup import Setup

CLOCKS = {"seconds", "data_wait_seconds", "tokens_per_second"}  # fields that differ run by run


def train_row(setup: Setup, position: Position, metrics: dict[str, Any]) -> dict[str, Any]:
    """What was trained since the last such row, which `position` then counts on from.

    `metrics` are those of the step just made; `examples` ends the hash chain of all that was seen.
    """
    seconds = position.seconds + position.data_wait_seconds
    loss = position.nats / position.weight if position.weight else math.nan
    counts = setup.train.counts
    row = {
        **_common("train", setup, position),
        "seconds": seconds,
        "loss": loss,
        "bits_per_byte": loss / math.log(2) * counts.tokens / counts.bytes,
        "learning_rate": float(metrics["learning_rate"]),
        "gradient_norm": float(metrics["gradient_norm"]),
        "tokens_per_second": position.weight / max(1e-9, seconds - position.logged_seconds),
        "data_wait_seconds": position.data_wait_seconds,
        "examples": position.examples[:16],
        "skips": position.skips,
        "rollbacks": position.rollbacks,
        "spikes": position.spikes,
    }
    position.seconds = position.logged_seconds = seconds
    position.data_wait_seconds = position.nats = position.weight = 0.0
    return row


def evaluation_row(setup: Setup, position: Position, score: Score) -> dict[str, Any]:
    """The score of the validation split at a position."""
    return {
        **_common("evaluation", setup, position),
        "split": "validation",
        "context": score.context,
        "nats_per_token": score.nats_per_token,
        "perplexity": score.perplexity,
        "bits_per_byte": score.bits_per_byte,
    }


def _common(kind: str, setup: Setup, position: Position) -> dict[str, Any]:
    tokens = position.step * setup.clock.tokens_per_step
    return {
        "kind": kind,
        "step": position.step,
        "tokens": tokens,
        "flops": tokens * setup.cost.training_flops_per_token,
        "seconds": position.seconds,
    }
