"""The page on mixers' speed: all mixers are on it, and its numbers are those that were measured."""

import csv

from lmjax.mixers.registry import MIXERS
from lmjax.studies.mixer_speed import GROUPS, LENGTHS, Speed, draw, measure, page, to_csv


def test_every_mixer_has_one_place():
    placed = [name for names, _ in GROUPS.values() for name in names]
    assert len(placed) == len(set(placed))
    assert set(placed) == set(MIXERS)


def test_what_is_measured_is_on_page_and_plot_and_in_the_csv():
    speeds = [
        Speed(name, length, 1000.0 * (index + 1) * length, 7.0)
        for index, name in enumerate(("attention", "mamba"))
        for length in LENGTHS
    ]
    text = page(speeds, "speed.svg")
    row = next(line for line in text.splitlines() if line.startswith("| mamba"))
    assert row == ("| mamba | 256.00 (7) | 1024.00 (7) | 4096.00 (7) | 16384.00 (7) | 64.00 |")
    assert "speed.svg" in text and "Convolutions" not in text
    rows = list(csv.DictReader(to_csv(speeds).splitlines()))
    assert [float(row["nanoseconds_per_token"]) for row in rows] == [s.nanoseconds for s in speeds]
    panels = draw(speeds).axes
    assert [panel.get_title(loc="left") for panel in panels] == ["attention", "element by element"]


def test_a_mixer_is_timed():
    speed = measure("min_gru", 8192)
    assert speed.nanoseconds > 0 and speed.megabytes > 0
