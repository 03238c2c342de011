"""What a person sees of a run: a table before it, lines and a bar while it lasts."""

from contextlib import contextmanager
from typing import Any

from ml_collections import ConfigDict
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from lmjax.training.cost import ModelCost


@contextmanager
def progress_bar(console: Console, description: str, total: int, done: int = 0):
    """Yields `advance(count=1)`; draws a bar on a terminal and nothing elsewhere."""
    if not console.is_terminal:
        yield lambda count=1: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(description, total=total, completed=done)
        yield lambda count=1: progress.advance(task, count)


def say(console: Console, line: str) -> None:
    """Prints a line; that its reader has gone away (a closed pipe) ends nothing."""
    try:
        console.print(line, highlight=False, soft_wrap=True)
    except (OSError, SystemExit):  # rich exits where a pipe is broken
        console.quiet = True


def cost_table(config: ConfigDict, cost: ModelCost) -> Table:
    """The model's size and price, to be read before time is spent on it."""
    table = Table(title=f"{config.model.name} on {config.data.corpus}", title_justify="left")
    table.add_column("cost")
    table.add_column("", justify="right")
    table.add_row("parameters", f"{cost.parameters:,}")
    table.add_row("  non-embedding", f"{cost.non_embedding:,}")
    table.add_row("state of a row", f"{cost.state_bytes:,} bytes")
    table.add_row("FLOPs a token, forward", f"{cost.flops_per_token:,.0f}")
    table.add_row("FLOPs a token, training", f"{cost.training_flops_per_token:,.0f}")
    return table


def train_line(row: dict[str, Any], total_steps: int) -> str:
    """One row of training metrics for people; each figure is the row's own."""
    left = row["seconds"] / row["step"] * (total_steps - row["step"])
    return " | ".join(
        (
            f"step {row['step']:,}/{total_steps:,}",
            f"loss {row['loss']:.4f} nats/token",
            f"{row['bits_per_byte']:.4f} bits/byte",
            f"learning rate {row['learning_rate']:.3g}",
            f"gradient norm {row['gradient_norm']:.3g}",
            f"{row['tokens_per_second']:,.0f} tokens/s",
            f"data wait {row['data_wait_seconds']:.2f} s",
            f"{clock_time(left)} left",
        )
    )


def evaluation_line(row: dict[str, Any]) -> str:
    """One score for people, with its context policy."""
    return (
        f"step {row['step']:,} | {row['split']} ({row['context']}): "
        f"{row['nats_per_token']:.4f} nats/token | perplexity {row['perplexity']:,.2f} | "
        f"{row['bits_per_byte']:.4f} bits/byte"
    )


def clock_time(seconds: float) -> str:
    """Seconds as `1 h 02 min`, `3 min 20 s` or `12 s`."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} s"
