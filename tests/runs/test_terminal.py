"""What a person sees of long work."""

import io

import pytest
from rich.console import Console

from lmjax.runs.terminal import clock_time, progress_bar, say, short_number


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.4, "0 s"), (59.6, "1 min 00 s"), (200, "3 min 20 s"), (3725, "1 h 02 min"), (1e6, "277 h")],
)
def test_a_time_in_two_units(seconds, shown):
    assert clock_time(seconds) == shown


@pytest.mark.parametrize(
    ("number", "shown"),
    [(0, "0"), (7.25, "7.25"), (999.4, "999"), (999.6, "1k"), (9020, "9.02k"), (1146076, "1.15M")],
)
def test_a_number_in_three_digits(number, shown):
    assert short_number(number) == shown


def test_a_bar_is_drawn_on_a_terminal_alone():
    for is_terminal in (True, False):
        written = io.StringIO()
        console = Console(file=written, force_terminal=is_terminal, width=80)
        with progress_bar(console, "training", 10, done=3) as advance:
            advance()
            advance(2)
        assert ("training" in written.getvalue()) == is_terminal
        assert ("6/10" in written.getvalue()) == is_terminal
        assert "left" not in written.getvalue()


def test_a_line_is_said_as_it_is():
    written = io.StringIO()
    console = Console(file=written, force_terminal=True, width=80)
    for line in ("a tag [/b] that closes nothing", "a [red] colour", ":smile: and \\[x]"):
        say(console, line)
        assert written.getvalue().endswith(f"{line}\n")
