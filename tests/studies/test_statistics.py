"""Verdicts are as often false as they say, intervals cover as often as they say, seeds and text."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from lmjax.studies.statistics import (
    ArmScores,
    SegmentBits,
    difference,
    summarize,
    text_half_width,
    verdict,
)


def arm(values, **fields):
    return ArmScores(dict(enumerate(values)), **fields)


def segments_of(bits, bytes_=None):
    bits = np.atleast_2d(np.asarray(bits, float))
    full = np.full(bits.shape[1], 100.0)
    return SegmentBits(bits, full if bytes_ is None else np.asarray(bytes_))


def test_interval_covers_the_mean_as_often_as_it_says():
    draws = np.random.default_rng(0).normal(5.0, 2.0, size=(2000, 4))
    summaries = [summarize(row) for row in draws]
    covered = [abs(summary.mean - 5.0) <= summary.half_width for summary in summaries]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.02)


def test_one_value_has_no_interval():
    summary = summarize([1.5])
    assert (summary.mean, summary.half_width, summary.n) == (1.5, None, 1)


def test_a_difference_over_seeds_is_scipys_welch_test():
    first, second = np.random.default_rng(1).normal(size=(2, 5)) * [[1.0], [3.0]] + [[2.0], [0.0]]
    expected = stats.ttest_ind(first, second, equal_var=False)
    found = difference(arm(first), arm(second))
    assert found.mean > 0
    assert found.p_value == pytest.approx(expected.pvalue)
    interval = expected.confidence_interval()
    assert found.mean - found.half_width == pytest.approx(interval.low)
    assert found.mean + found.half_width == pytest.approx(interval.high)


def test_among_several_arms_it_is_scipys_games_howell_test():
    values = np.random.default_rng(2).normal(size=(4, 5)) + np.arange(4)[:, None]
    expected = stats.tukey_hsd(*values, equal_var=False).pvalue
    for higher, lower in ((1, 0), (3, 0), (3, 2)):
        found = difference(arm(values[higher]), arm(values[lower]))
        assert found.p_value_among(4) == pytest.approx(expected[higher, lower], rel=1e-4)


def test_a_counted_arm_is_a_constant_to_the_seeds_of_the_other():
    seeds = [2.1, 2.3, 2.2, 2.25]
    found = difference(arm(seeds), arm([2.0], is_counted=True))
    assert found.p_value == pytest.approx(stats.ttest_1samp(seeds, 2.0).pvalue)


def test_the_error_over_text_is_that_of_a_ratio_of_means():
    random = np.random.default_rng(3)
    bytes_G = random.integers(50, 200, size=300).astype(float)
    bits_G = 2 * bytes_G + random.normal(0, 20, size=300)
    rest_G = bits_G - bits_G.sum() / bytes_G.sum() * bytes_G  # the delta method
    expected = math.sqrt(300 / 299 * (rest_G**2).sum()) / bytes_G.sum()
    error = text_half_width(segments_of(bits_G, bytes_G)) / stats.t.ppf(0.975, 299)
    assert error == pytest.approx(expected, rel=0.05)
    resampled = stats.bootstrap(
        (bits_G, bytes_G), lambda a, b, axis: a.sum(axis) / b.sum(axis), paired=True, batch=100
    )
    assert error == pytest.approx(resampled.standard_error, rel=0.05)


@pytest.mark.parametrize("seeds", [3, 6])
def test_the_error_over_seeds_and_text_is_the_sum_of_both(seeds):
    random = np.random.default_rng(6)
    bytes_G = random.integers(50, 200, size=200).astype(float)
    arms, parts = [], []
    for deviation in (0.01, 0.03):
        values = 2 + random.normal(0, deviation, size=seeds)
        bits_SG = bytes_G * (values[:, None] + random.normal(0, 0.2, size=200))
        arms.append(
            arm(bits_SG.sum(axis=1) / bytes_G.sum(), segments=segments_of(bits_SG, bytes_G))
        )
        parts.append(np.var(values, ddof=1) / seeds)
    rest_G = np.subtract(*(one.segments.bits_SG.mean(axis=0) for one in arms))
    rest_G = rest_G - rest_G.sum() / bytes_G.sum() * bytes_G
    parts.append(200 / 199 * (rest_G**2).sum() / bytes_G.sum() ** 2)
    found = difference(*arms)
    assert found.standard_error == pytest.approx(math.sqrt(sum(parts)), rel=0.06)
    degrees = sum(parts) ** 2 / sum(
        part**2 / of for part, of in zip(parts, (seeds - 1, seeds - 1, 199), strict=True)
    )
    assert found.degrees_of_freedom == pytest.approx(degrees, rel=0.1)


def test_seeds_of_two_arms_are_drawn_on_their_own():
    """Seed 0 of an arm has nothing to do with seed 0 of another, though both be the best."""
    values = np.array([1.0, 1.1, 1.3])
    bits_SG = np.outer(values, np.full(20, 100.0))
    twice = [arm(values, segments=segments_of(bits_SG)) for _ in range(2)]
    expected = math.sqrt(2 * np.var(values, ddof=1) / 3)
    assert difference(*twice).standard_error == pytest.approx(expected, rel=0.05)


def test_two_counted_arms_are_compared_over_the_text_alone():
    random = np.random.default_rng(4)
    common = random.normal(200, 50, size=80)  # easy and hard segments, equal for both
    first = common + random.normal(0, 4, size=80)
    second = common + 3 + random.normal(0, 4, size=80)
    scores = {
        "A": arm([first.sum() / 8000], segments=segments_of(first), is_counted=True),
        "B": arm([second.sum() / 8000], segments=segments_of(second), is_counted=True),
    }
    expected = stats.ttest_rel(first, second).pvalue
    assert difference(scores["B"], scores["A"]).p_value == pytest.approx(expected, rel=0.3)
    result = verdict(scores, "bits")
    assert result.winner == "A"
    assert "over 80 segments of the text; p =" in result.text
    assert "seeds" not in result.text


def test_two_counted_arms_that_differ_by_rounding_have_no_winner():
    scores = {"A": arm([2.0], is_counted=True), "B": arm([2.0 + 1e-9], is_counted=True)}
    assert verdict(scores, "bits").winner is None
    bits = np.full(50, 200.0)
    scores = {
        "A": arm([2.0], segments=segments_of(bits), is_counted=True),
        "B": arm([2.0 + 1e-9], segments=segments_of(bits + 1e-7), is_counted=True),
    }
    assert verdict(scores, "bits").winner is None


def test_a_winner_over_seeds_must_hold_over_the_text_too():
    seeds = {"A": [2.00, 2.01, 2.02], "B": [2.20, 2.21, 2.22]}
    assert verdict({name: arm(values) for name, values in seeds.items()}, "bits").winner == "A"
    random = np.random.default_rng(5)
    for noise, winner in ((5.0, "A"), (500.0, None)):
        # The same difference of 0.2 bits per byte, from text that is more or less even.
        wobble = random.normal(0, noise, size=60)
        wobble = wobble - wobble.mean()
        scores = {
            "A": arm(seeds["A"], segments=segments_of(np.outer(seeds["A"], np.full(60, 100)))),
            "B": arm(
                seeds["B"], segments=segments_of(np.outer(seeds["B"], np.full(60, 100)) + wobble)
            ),
        }
        result = verdict(scores, "bits")
        assert result.winner == winner
        assert "over n = 3 seeds and 60 segments of the text" in result.text


def test_segments_that_are_not_the_same_text_are_not_paired():
    first = arm([2.0, 2.1, 2.2], segments=segments_of(np.arange(40.0)))
    second = arm([3.0, 3.1, 3.2], segments=segments_of(np.arange(20.0)))
    alone = difference(arm([3.0, 3.1, 3.2]), arm([2.0, 2.1, 2.2]))
    assert difference(second, first) == alone
    few = segments_of(np.arange(4.0))
    assert difference(replace(second, segments=few), replace(first, segments=few)) == alone
    assert "no text but this one" in verdict({"A": first, "B": second}, "bits").text


def test_no_verdict_while_an_arm_lacks_a_seed():
    scores = {
        "A": arm([2.00, 2.01, 2.02, 4.0]),
        "B": arm([2.20, 2.215, 2.22]),
    }
    result = verdict(scores, "bits")
    assert (result.lowest, result.winner) == (None, None)
    assert result.text == "No verdict is drawn while B has no result of seed 3."
    del scores["A"]
    scores["C"] = arm([9.0, 9.1, 9.2])
    assert verdict(scores, "bits").winner == "B"
    result = verdict(scores, "bits", seeds=(0, 1, 2, 3, 4))
    assert "B has no result of seeds 3, 4 and C has no result of seeds 3, 4" in result.text
    assert "D has no result." in verdict(scores | {"D": arm([])}, "bits").text


def test_a_winner_is_lower_not_only_different():
    assert difference(arm([1.0, 1.1, 1.2]), arm([9.0, 9.1, 9.2])).p_value == 1
    assert difference(arm([1.0, 1.1, 1.2]), arm([9.0, 9.1, 9.2])).p_value_among(3) == 1


def test_seeds_that_change_nothing_are_no_evidence():
    result = verdict({"A": arm([1.0, 1.0, 1.0]), "B": arm([2.0, 2.0, 2.0])}, "bits")
    assert result.winner is None
    assert "B is 1 above it, and nothing tells how sure that is" in result.text


@pytest.mark.parametrize("n", [1, 2])
def test_no_winner_with_fewer_than_three_seeds(n):
    result = verdict({"A": arm([1.0, 1.1][:n]), "B": arm([9.0, 9.2][:n])}, "loss")
    assert result.lowest == "A"
    assert result.winner is None
    assert f"n = {n}: no verdict is drawn" in result.text


def test_one_close_rival_keeps_the_crown_away_and_the_others_are_named():
    scores = {
        "A": arm([1.00, 1.02, 1.01]),
        "B": arm([1.01, 1.00, 1.03]),
        "C": arm([5.0, 5.1, 5.2]),
    }
    result = verdict(scores, "loss")
    assert (result.winner, result.worse) == (None, ("C",))
    assert "It is better than C (Games and Howell's test)." in result.text
    del scores["B"]
    assert verdict(scores, "loss").winner == "A"


def test_rivals_that_are_far_away_ask_for_no_correction():
    best, rival = arm([1.0, 1.1, 1.05]), arm([1.15, 1.25, 1.2])
    assert 0.01 < difference(rival, best).p_value < 0.05
    others = {name: arm([8.0, 9.0, 8.5]) for name in "CDEF"}
    assert verdict({"A": best, "B": rival, **others}, "loss").winner == "A"


def test_a_winners_sentence_names_the_next_arm_and_the_one_that_is_least_sure():
    scores = {
        "A": arm([1.00, 1.01, 1.02]),
        "B": arm([1.30, 1.31, 1.32]),
        "C": arm([2.0, 2.5, 3.0]),
    }
    text = verdict(scores, "loss").text
    assert "A has the lowest mean loss (1.0100) and wins: B is 0.3000 ± 0.0227 above it" in text
    assert "; C is 1.4900 ± 1.2" in text
    del scores["C"]
    assert "; C" not in verdict(scores, "loss").text


def test_an_arm_alone_is_compared_with_nothing():
    result = verdict({"A": arm([1, 2, 3])}, "loss")
    assert result.winner is None
    assert "nothing to compare" in result.text
