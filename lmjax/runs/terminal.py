"""What a person sees of long work: a bar while it lasts, and lines."""

import unicodedata
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

# Of the Unicode bidirectional algorithm: what embeds, overrides and isolates.
TURNS = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")


@contextmanager
def progress_bar(console: Console, description: str, total: int | None, done: int = 0):
    """Yields `advance(count=1)`; draws a bar on a terminal and nothing elsewhere.

    A `total` of None is unknown. It shows the time that has passed: the time left stands in the
    lines of training, once.
    """
    if not console.is_terminal:
        yield lambda count=1: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(description, total=total, completed=done)
        yield lambda count=1: progress.advance(task, count)


def say(console: Console, line: str) -> None:
    """Prints a line as it is; that its reader has gone away (a closed pipe) ends nothing."""
    try:
        console.print(line, highlight=False, markup=False, emoji=False, soft_wrap=True)
    except (OSError, SystemExit):  # rich exits where a pipe is broken
        console.quiet = True


def clock_time(seconds: float) -> str:
    """Seconds as `38 h`, `1 h 02 min`, `3 min 20 s` or `12 s`."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 10:
        return f"{hours} h"
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} s"


def short_number(number: float) -> str:
    """Three digits of a number: `9.02k`, `146k`, `1.15M`."""
    for unit in ("", "k", "M", "G"):
        if abs(number) < 999.5:
            return f"{number:.3g}{unit}"
        number /= 1000
    return f"{number:.3g}T"


def printable(text: str) -> str:
    """The text with what a terminal would obey replaced: whoever wrote it, it is only shown.

    That is every control character but newline and tab, and what turns the direction of writing.
    """
    return "".join(
        "\N{REPLACEMENT CHARACTER}"
        if (unicodedata.category(character) == "Cc" and character not in "\n\t")
        or unicodedata.bidirectional(character) in TURNS
        else character
        for character in text
    )
