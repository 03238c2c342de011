"""Plots show what their CSV says, and the CSV what the runs wrote."""

import csv
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from lmjax.studies.plots import AXES, Curve, draw, read_curve, spread, to_csv, write_plots
from lmjax.studies.reading import read_study
from lmjax.studies.records import StudyRecord
from lmjax.studies.summary import summary_rows
from tests.studies.fake_runs import STEPS, make_config, write_run


@pytest.fixture
def arms(tmp_path):
    write_run(make_config("ngram"), tmp_path / "counted", validation=2.5)
    for seed, validation in ((0, 2.0), (1, 2.2)):
        config = make_config(cell="gru")
        config.seed = seed
        write_run(config, tmp_path / "gru" / f"seed_{seed}", validation=validation)
    return read_study(tmp_path).arms


def read_csv(text):
    return list(csv.DictReader(text.splitlines()))


def test_curve_is_the_mean_over_seeds_with_the_interval_of_the_tables(arms):
    curve = read_curve(arms[1], "tokens")
    assert curve.seeds == 2
    np.testing.assert_array_equal(curve.x, [100 * step for step in STEPS])
    below = np.array([(STEPS[-1] - step) / 10 for step in STEPS])
    np.testing.assert_allclose(curve.mean, 2.1 + below)
    half_width = stats.t.interval(0.95, 1, scale=stats.sem([2.0, 2.2]))[1]
    np.testing.assert_allclose(curve.high - curve.mean, half_width)
    np.testing.assert_allclose(curve.mean - curve.low, half_width)
    table = summary_rows(StudyRecord("", "", tuple(arms)))[1].figures["validation bits/byte"]
    assert table == f"2.1000 ± {half_width:.4f}"


def test_one_seed_has_no_band(arms):
    curve = read_curve(replace(arms[1], runs=arms[1].runs[:1]), "tokens")
    np.testing.assert_array_equal(curve.low, curve.mean)
    np.testing.assert_array_equal(curve.high, curve.mean)


@pytest.mark.parametrize(
    ("longest", "label", "ticks"),
    [
        (0.4, "training seconds", {"0.1"}),
        (100.0, "training seconds", {"20", "40"}),
        (600.0, "training minutes", {"2", "4", "10"}),
        (20000.0, "training hours", {"1", "5"}),
    ],
)
def test_time_is_told_in_seconds_minutes_or_hours(longest, label, ticks):
    x = np.array([0.0, longest])
    curve = Curve("a", 1, x, x, x, x)
    figure = draw([curve], "seconds", ["a"])
    figure.canvas.draw()
    axes = figure.axes[0]
    assert axes.get_xlabel() == label
    assert ticks <= {text.get_text() for text in axes.get_xticklabels()}


def test_seeds_that_stopped_at_different_steps_share_their_common_part(arms, tmp_path):
    metrics = tmp_path / "gru" / "seed_1" / "metrics.jsonl"
    metrics.write_text("".join(metrics.read_text().splitlines(keepends=True)[:-1]))
    curve = read_curve(read_study(tmp_path).arms[1], "tokens")
    np.testing.assert_array_equal(curve.x, [100 * step for step in STEPS[:-1]])


def test_a_counted_arm_is_a_level(arms):
    curve = read_curve(arms[0], "tokens")
    assert curve.is_level
    np.testing.assert_array_equal(curve.mean, [2.5])


def test_an_arm_without_scores_has_no_curve(tmp_path):
    write_run(make_config("ngram"), tmp_path, finished=False)
    assert read_curve(read_study(tmp_path).arms[0], "tokens") is None
    assert write_plots(read_study(tmp_path).arms, tmp_path / "plots") == {}
    assert not (tmp_path / "plots").exists()


@pytest.mark.parametrize("axis", AXES)
def test_csv_holds_the_plotted_numbers(arms, axis):
    curves = [read_curve(arm, axis) for arm in arms]
    rows = read_csv(to_csv(curves, axis))
    lines = draw(curves, axis, [arm.name for arm in arms]).axes[0].lines
    level, course = lines[:2]
    assert [row["arm"] for row in rows] == ["counted", *["gru"] * len(STEPS)]
    assert set(level.get_ydata()) == {float(rows[0]["validation_bits_per_byte"])}
    assert rows[0][axis] == ""
    assert [float(row[axis]) for row in rows[1:]] == list(course.get_xdata())
    plotted = [float(row["validation_bits_per_byte"]) for row in rows[1:]]
    assert plotted == list(course.get_ydata())


def test_every_end_of_a_curve_is_in_view(arms):
    curves = [read_curve(arm, "seconds") for arm in arms]
    low, high = draw(curves, "seconds", [arm.name for arm in arms]).axes[0].get_ylim()
    assert all(low < curve.mean[-1] < high for curve in curves)


def test_each_plot_is_written_as_csv_svg_and_png(arms, tmp_path):
    drawn = write_plots(arms, tmp_path / "plots")
    assert list(drawn) == list(AXES)
    for axis in AXES:
        path = tmp_path / "plots" / f"validation_against_{axis}"
        assert path.with_suffix(".svg").read_text() == drawn[axis]
        assert path.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
        assert len(read_csv(path.with_suffix(".csv").read_text())) == 1 + len(STEPS)
        labels = " ".join(ElementTree.fromstring(drawn[axis]).itertext())
        assert AXES[axis] in labels
        assert "gru" in labels
        assert "counted" in labels


@settings(deadline=None)
@given(
    places=st.lists(st.floats(0, 1), min_size=1, max_size=12, unique=True),
    gap=st.floats(0.001, 0.08),
)
def test_labels_keep_their_order_and_their_distance(places, gap):
    moved = spread(places, gap)
    order = np.argsort(places)
    assert (np.diff(moved[order]) >= gap - 1e-9).all()
    assert moved.max() <= 1.0


def test_labels_that_have_room_stay_where_they_are():
    np.testing.assert_array_equal(spread([0.9, 0.1, 0.5], 0.1), [0.9, 0.1, 0.5])
