"""What training tells of itself: rows of metrics, and the same in lines and a table for people."""

import math
from typing import Any

from ml_collections import ConfigDict
from rich.table import Table

from lmjax.evaluation.score import Score
from lmjax.models.cost import ModelCost
from lmjax.runs.terminal import clock_time, short_number
from lmjax.training.position import Position
from lmjax.training.program import TrainingPlan

CLOCKS = {"seconds", "data_wait_seconds", "tokens_per_second"}  # fields that differ run by run


def train_row(plan: TrainingPlan, position: Position, metrics: dict[str, Any]) -> dict[str, Any]:
    """What was trained since the last such row, which `position` then counts on from.

    `metrics` are those of the step just made; `examples` ends the hash chain of all that was seen.
    `tokens_per_second` is of the steps that were not compiled for; None if all were.
    """
    loss = position.nats / position.weight if position.weight else math.nan
    counts = plan.train.counts
    bits = None
    if plan.objective.scores_text:
        bits = loss / math.log(2) * counts.tokens / counts.bytes
    common = _common("train", plan, position)
    seconds, timed_weight = common["seconds"], position.weight - position.untimed_weight
    rate = timed_weight / max(1e-9, seconds - position.logged_seconds) if timed_weight > 0 else None
    row = {
        **common,
        "loss": loss,
        "bits_per_byte": bits,
        "learning_rate": float(metrics["learning_rate"]),
        "gradient_norm": float(metrics["gradient_norm"]),
        "tokens_per_second": rate,
        "data_wait_seconds": position.data_wait_seconds,
        "examples": position.examples[:16],
        "skips": position.skips,
        "rollbacks": position.rollbacks,
        "spikes": position.spikes,
    }
    if metrics["right"] is not None:
        row["accuracy"] = position.right / max(position.weight, 1.0)
    for kind in ("extras", "measures"):
        if metrics[kind]:
            row[kind] = {name: float(mean) for name, mean in metrics[kind].items()}
    position.seconds = position.logged_seconds = seconds
    position.data_wait_seconds = position.nats = position.right = 0.0
    position.weight = position.untimed_weight = 0.0
    return row


def evaluation_row(plan: TrainingPlan, position: Position, score: Score) -> dict[str, Any]:
    """The score of the validation split at a position."""
    row = {
        **_common("evaluation", plan, position),
        "split": "validation",
        "context": score.context,
        "nats_of": score.nats_of,
        "nats_per_token": score.nats_per_token,
        "perplexity": score.perplexity,
        "bits_per_byte": score.bits_per_byte,
        "unknowns": score.unknowns,
        "spelling_nats": score.spelling_nats,
    }
    if score.accuracy is not None:
        row["accuracy"] = score.accuracy
    if score.length_accuracy is not None:
        row["length_accuracy"] = score.length_accuracy
    return row


def _common(kind: str, plan: TrainingPlan, position: Position) -> dict[str, Any]:
    tokens = position.step * plan.clock.tokens_per_step
    return {
        "kind": kind,
        "step": position.step,
        "tokens": tokens,
        "flops": tokens * plan.cost.training_operations_per_token,
        "seconds": position.seconds + position.data_wait_seconds,
    }


def cost_table(config: ConfigDict, cost: ModelCost) -> Table:
    """The model's size and price, to be read before time is spent on it."""
    table = Table(title=f"{config.model.name} on {config.data.corpus}", title_justify="left")
    table.caption, table.caption_justify = "FLOPs: matrix products and convolutions", "left"
    if cost.not_counted:
        table.caption += f"; not counted: {', '.join(cost.not_counted)}"
    table.add_column("cost")
    table.add_column("", justify="right")
    table.add_row("parameters", f"{cost.parameters:,}")
    table.add_row("  non-embedding", f"{cost.non_embedding:,}")
    if cost.active != cost.parameters:
        table.add_row("  of which a token uses", f"{cost.active:,}")
    table.add_row("state of a row", f"{cost.state_bytes:,} bytes")
    table.add_row("FLOPs a token, forward", f"{cost.flops_per_token:,.0f}")
    table.add_row("FLOPs a token, training", f"{cost.training_flops_per_token:,.0f}")
    table.add_row("  element-wise", f"{cost.training_elementwise_per_token:,.0f}")
    return table


def train_line(row: dict[str, Any], total_steps: int) -> str:
    """One row of training metrics for people, within 100 columns; the row has more figures."""
    left = row["seconds"] / row["step"] * (total_steps - row["step"])
    rate = row["tokens_per_second"]
    tokens = "" if rate is None else f"{short_number(rate)} tokens/s, "
    return (
        f"step {row['step']:,}/{total_steps:,}: loss {row['loss']:.4f}"
        f"{_bits_text(row)}, rate {row['learning_rate']:.3g}, "
        f"{tokens}{clock_time(left)} left"
    )


def evaluation_line(row: dict[str, Any]) -> str:
    """A score during training for people; its context is that of the result."""
    return f"step {row['step']:,}: {_score_text(row)}"


def result_line(row: dict[str, Any]) -> str:
    """A score at the end for people, with its context policy."""
    return f"result: {_score_text(row)}, {row['context']}"


def _score_text(row: dict[str, Any]) -> str:
    """One score, with its accuracy if there is one, and how many targets the vocabulary lacked."""
    unknowns = f", {row['unknowns']:,} unknown" if row["unknowns"] else ""
    accuracy = "" if row.get("accuracy") is None else f", accuracy {row['accuracy']:.4f}"
    loss = f"{row['nats_per_token']:.4f}"
    if row["perplexity"] is not None:
        loss = f"perplexity {row['perplexity']:,.2f} ({loss} nats)"
    kind = "" if row["nats_of"] == "causal" else f", {row['nats_of']}"
    return f"{row['split']} {loss}{_bits_text(row)}{accuracy}{unknowns}{kind}"


def _bits_text(row: dict[str, Any]) -> str:
    """Nothing where the targets are not a text."""
    bits = row["bits_per_byte"]
    return "" if bits is None else f", {bits:.3f} bits/byte"
