"""Verdicts are rare where there is nothing to find, and means have honest intervals."""

import numpy as np
import pytest
from scipy import stats

from lmjax.studies.statistics import paired_p_value, summarize, verdict


def by_seed(values):
    return dict(enumerate(values))


def test_interval_covers_the_mean_as_often_as_it_says():
    draws = np.random.default_rng(0).normal(5.0, 2.0, size=(2000, 4))
    summaries = [summarize(row) for row in draws]
    covered = [abs(summary.mean - 5.0) <= summary.half_width for summary in summaries]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.02)


def test_one_value_has_no_interval():
    summary = summarize([1.5])
    assert (summary.mean, summary.half_width, summary.n) == (1.5, None, 1)


def test_p_value_is_scipys_paired_test_over_common_seeds():
    first, second = np.random.default_rng(1).normal(size=(2, 6))
    expected = stats.ttest_rel(first, second).pvalue
    assert paired_p_value(by_seed(first), by_seed(second)) == pytest.approx(expected)
    more = by_seed(second) | {99: 7.0}
    assert paired_p_value(by_seed(first), more) == pytest.approx(expected)


def test_differences_that_do_not_vary():
    assert paired_p_value(by_seed([1, 2, 3]), by_seed([1, 2, 3])) == 1
    assert paired_p_value(by_seed([1, 2, 3]), by_seed([2, 3, 4])) == 0


def test_pairing_sees_a_difference_that_seeds_would_hide():
    seeds = np.array([1.0, 2.0, 3.0, 4.0])
    noise = np.array([0.001, -0.001, 0.0005, -0.0005])
    result = verdict({"A": by_seed(seeds), "B": by_seed(seeds + 0.05 + noise)}, "loss")
    assert result.winner == "A"


@pytest.mark.parametrize("n", [1, 2])
def test_no_winner_with_fewer_than_three_seeds(n):
    result = verdict({"A": by_seed([1.0, 1.1][:n]), "B": by_seed([9.0, 9.2][:n])}, "loss")
    assert result.lowest == "A"
    assert result.winner is None
    assert f"n = {n}: no verdict is drawn" in result.text


def test_equal_arms_seldom_have_a_winner():
    random = np.random.default_rng(2)
    winners = [
        verdict({name: by_seed(random.normal(size=3)) for name in "ABCDEF"}, "loss").winner
        for _ in range(500)
    ]
    assert np.mean([winner is not None for winner in winners]) < 0.05


def test_one_close_rival_keeps_the_crown_away():
    scores = {
        "A": by_seed([1.00, 1.02, 1.01]),
        "B": by_seed([1.01, 1.00, 1.03]),
        "C": by_seed([5.0, 5.1, 5.2]),
    }
    assert verdict(scores, "loss").winner is None
    del scores["B"]
    assert verdict(scores, "loss").winner == "A"


def test_more_rivals_need_stronger_evidence():
    best, rival = by_seed([1.0, 1.0, 1.0]), by_seed([1.1, 1.2, 1.15])
    p_value = paired_p_value(best, rival)
    assert 0.01 < p_value < 0.05
    assert verdict({"A": best, "B": rival}, "loss").winner == "A"
    rivals = dict.fromkeys("BCDEFG", rival)
    assert verdict({"A": best, **rivals}, "loss").winner is None


def test_an_arm_alone_is_compared_with_nothing():
    result = verdict({"A": by_seed([1, 2, 3])}, "loss")
    assert result.winner is None
    assert "nothing to compare" in result.text
