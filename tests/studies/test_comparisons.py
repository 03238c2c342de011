"""What is said of an arm beside the baseline: agreement with scipy, and with counting by hand."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lmjax.studies import resampling
from lmjax.studies.comparisons import compare_with, hedges_g, holm
from lmjax.studies.resampling import least_seeds_p_value, seeds_p_value, text_p_value
from lmjax.studies.statistics import ArmScores, SegmentBits


def arm(values, wobble_G=None, **fields):
    """Scores by seed, alike in all of 60 segments of 100 bytes, plus what a text gives."""
    segments = None
    if wobble_G is not None:
        bits_SG = np.outer(values, np.full(60, 100.0)) + wobble_G - np.mean(wobble_G)
        segments = SegmentBits(bits_SG, np.full(60, 100.0))
    return ArmScores(dict(enumerate(values)), segments, **fields)


def wobble(seed, deviation=1.0):
    return np.random.default_rng(seed).normal(0, deviation, size=60)


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holms_correction_is_the_step_down_that_it_is_defined_as(p_values):
    adjusted = holm(p_values)
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    for place, index in enumerate(order):
        steps = [(len(order) - step) * p_values[order[step]] for step in range(place + 1)]
        assert adjusted[index] == pytest.approx(min(1.0, max(steps)))


def test_holm_rejects_what_closed_testing_by_bonferroni_rejects():
    p_values = [0.01, 0.04, 0.03, 0.005]
    for index, adjusted in enumerate(holm(p_values)):
        groups = [
            group
            for size in range(1, 5)
            for group in itertools.combinations(range(4), size)
            if index in group
        ]
        closed = max(min(len(group) * min(p_values[i] for i in group), 1) for group in groups)
        assert adjusted == pytest.approx(closed)


def test_hedges_g_is_unbiased_where_the_plain_one_is_not():
    random = np.random.default_rng(0)
    draws = random.normal(size=(20_000, 2, 3)) + [[2.0], [0.0]]
    found = [hedges_g(first, second) for first, second in draws]
    assert np.mean(found) == pytest.approx(2.0, rel=0.02)
    first, second = draws[0]
    t, _ = stats.ttest_ind(first, second)
    assert found[0] == pytest.approx(t * np.sqrt(2 / 3) * 0.7978845608)  # J of four degrees
    five, other = random.normal(size=(2, 5)) + [[2.0], [0.0]]
    t, _ = stats.ttest_ind(five, other)
    assert hedges_g(five, other) == pytest.approx(t * np.sqrt(2 / 5) * 0.9027032)  # of eight
    assert hedges_g([1.0], [2.0, 3.0]) is None
    assert hedges_g([1.0, 1.0], [2.0, 2.0]) is None


def test_permutations_of_seeds_are_all_of_them_and_three_are_too_few():
    first, second = [1.0, 1.1, 1.2], [2.0, 2.1, 2.2]
    assert seeds_p_value(first, second) == pytest.approx(0.1)
    assert least_seeds_p_value(3, 3) == pytest.approx(0.1)
    assert least_seeds_p_value(5, 5) == pytest.approx(2 / 252)
    values = np.random.default_rng(1).normal(size=8)
    sums = [sum(values[list(group)]) for group in itertools.combinations(range(8), 4)]
    seen, mean = sum(values[:4]), values.sum() / 2
    extreme = np.mean([abs(total - mean) >= abs(seen - mean) - 1e-9 for total in sums])
    assert seeds_p_value(values[:4], values[4:]) == pytest.approx(extreme)


def test_signs_of_segments_are_flipped_as_by_scipy():
    random = np.random.default_rng(2)
    for bits_G in (random.normal(1.0, 1, size=9), random.normal(0.2, 1, size=200)):
        expected = stats.permutation_test(
            (bits_G,), lambda bits, axis: bits.sum(axis), permutation_type="samples", rng=random
        ).pvalue
        assert 0.001 < expected < 0.5
        assert text_p_value(bits_G) == pytest.approx(expected, abs=0.02)
    assert text_p_value(np.zeros(20)) == 1.0


def test_the_p_that_counts_is_welchs_and_holms():
    values = np.random.default_rng(3).normal(size=(3, 4)) * 0.1 + [[1.0], [1.2], [1.5]]
    arms = {name: arm(by_seed) for name, by_seed in zip("ABC", values, strict=True)}
    compared = {one.arm: one for one in compare_with("B", arms)}
    assert list(compared) == ["A", "C"]
    for name, by_seed in (("A", values[0]), ("C", values[2])):
        expected = stats.ttest_ind(by_seed, values[1], equal_var=False)
        interval = expected.confidence_interval()
        one = compared[name]
        assert one.p_value == pytest.approx(expected.pvalue)
        assert one.mean - one.half_width == pytest.approx(interval.low)
        assert one.mean + one.half_width == pytest.approx(interval.high)
        assert one.percent == pytest.approx(100 * one.mean / values[1].mean())
    adjusted = [one.adjusted_p_value for one in compared.values()]
    assert adjusted == holm([one.p_value for one in compared.values()])


def test_findings_have_a_direction():
    arms = {
        "better": arm([1.00, 1.01, 1.02], wobble(1)),
        "base": arm([2.00, 2.01, 2.02], wobble(2)),
        "worse": arm([3.00, 3.01, 3.02], wobble(3)),
        "close": arm([2.01, 2.00, 2.015], wobble(4)),
    }
    found = {one.arm: one for one in compare_with("base", arms)}
    assert [one.finding for one in found.values()] == ["better", "worse", "not told apart"]
    assert found["better"].mean == pytest.approx(-1.0)
    assert found["better"].percent == pytest.approx(-100 / 2.01)
    assert found["better"].hedges_g < -20
    assert found["better"].text_p_value == pytest.approx(1 / 2000)
    assert {one.finding for one in compare_with("base", arms, is_complete=False)} == {"not judged"}


@pytest.mark.parametrize("seeds", [1, 2])
def test_nothing_is_judged_below_three_seeds(seeds):
    arms = {
        "A": arm([1.00, 1.01][:seeds], wobble(1)),
        "B": arm([9.00, 9.01][:seeds], wobble(2)),
    }
    (one,) = compare_with("B", arms)
    assert (one.finding, one.p_value, one.adjusted_p_value) == ("not judged", None, None)
    assert (one.half_width is None) == (seeds == 1)


def test_seeds_and_text_both_make_an_interval_wide():
    sure = compare_with("B", {"A": arm([1, 1.01, 1.02], wobble(1)), "B": arm([2, 2.01, 2.02])})
    for a, b in (
        (arm([1, 1.01, 1.02], wobble(1, 90.0)), arm([2, 2.01, 2.02], wobble(2))),
        (arm([1, 1.21, 1.42], wobble(1)), arm([2, 2.01, 2.02], wobble(2))),
    ):
        (one,) = compare_with("B", {"A": a, "B": b})
        assert one.half_width > 5 * sure[0].half_width


def test_counted_arms_are_compared_over_the_text_alone():
    arms = {
        "A": arm([1.0], wobble(1), is_counted=True),
        "B": arm([2.0], wobble(2), is_counted=True),
    }
    (one,) = compare_with("B", arms)
    assert one.finding == "better"
    assert (one.hedges_g, one.seeds_p_value) == (None, None)


def test_what_is_drawn_does_not_depend_on_how_much_fits_at_once(monkeypatch):
    random = np.random.default_rng(3)
    bits_SG, bytes_G = random.normal(100, 5, (2, 3, 37)), random.integers(50, 150, 37)

    def found():
        difference_G = bits_SG[0].mean(0) - bits_SG[1].mean(0)
        return resampling.bootstrap_errors(bits_SG, bytes_G), text_p_value(difference_G)

    (errors, p_value), parts = found(), list(resampling._parts(10, 37))
    assert parts == [10]
    monkeypatch.setattr(resampling, "AT_ONCE", 4 * 37 + 1)
    assert list(resampling._parts(10, 37)) == [4, 4, 2]
    assert found()[1] == p_value and found()[0] == pytest.approx(errors, rel=1e-9)
