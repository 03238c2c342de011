"""The seconds before the first step, in parts that sum up."""

import time

from lmjax.runs.startup import Startup


def test_parts_sum_to_the_whole_and_short_ones_are_not_told(monkeypatch):
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    startup = Startup(begun=99.0)
    startup.end("imports")
    now += 0.03
    startup.end("corpus")
    now += 2.2
    startup.end("first step")
    assert startup.line() == "started in 3.2 s: imports 1.0, first step 2.2"


def test_without_a_long_part_it_is_the_time_alone():
    startup = Startup()
    startup.end("corpus")
    assert startup.line() == "started in 0.0 s"
