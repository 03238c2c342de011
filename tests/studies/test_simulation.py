"""The simulated studies: a short run, with room for chance, of what experiments/results/verdict.md
has of 2,000."""

import numpy as np
import pytest

from lmjax.studies import simulated_baselines, simulation
from lmjax.studies.simulated import (
    DEVIATION,
    Setting,
    all_equal,
    rate,
    simulate,
    two_share_the_best_place,
)
from lmjax.studies.simulated_baselines import outcomes
from lmjax.studies.simulation import (
    has_winner,
    has_winner_over_seeds,
    interval_of_a_difference_covers,
    interval_over_text_covers,
    pooled_p_value,
    says_anything,
)

STUDIES = 400  # a rate of 0.05 then has a standard error of 0.011


@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("arms", [2, 3, 6])
def test_false_positives_are_as_many_as_they_should_be(arms, seeds):
    false_winners = rate(two_share_the_best_place(arms, seeds), has_winner, STUDIES)
    false_statements = rate(all_equal(arms, seeds), says_anything, STUDIES)
    assert 0.01 < false_winners < 0.085
    assert 0.01 < false_statements < 0.085


def test_arms_that_vary_differently_do_not_make_winners_false():
    setting = two_share_the_best_place(6, 3, deviations=(3.0, 3.0, 1.0, 1.0, 1.0, 1.0))
    assert rate(setting, has_winner, STUDIES) < 0.085
    # One variance for all arms would.
    assert rate(setting, lambda arms: pooled_p_value(arms) < 0.05, STUDIES) > 0.12


def test_what_a_text_favours_by_chance_is_no_winner():
    setting = all_equal(2, 5, segments=40, text=3.0)
    assert rate(setting, has_winner, 300) < 0.09
    assert rate(setting, has_winner_over_seeds, 300) > 0.2


def test_ten_deviations_are_found_and_intervals_cover():
    assert rate(Setting((0.0,) + (10.0,) * 5, 3), has_winner, 200) > 0.95
    difference = all_equal(2, 3, segments=40, text=1.0)
    assert 0.91 < rate(difference, interval_of_a_difference_covers, 300) < 0.99
    text = Setting((0.0,), 3, deviations=(0.0,), segments=100)
    assert 0.91 < rate(text, interval_over_text_covers, 300) < 0.99


def test_simulated_scores_have_the_variances_that_they_should():
    random = np.random.default_rng(0)
    setting = Setting((0.0, 0.0), 4, deviations=(1.0, 3.0), segments=20, text=2.0)
    studies = [simulate(setting, random) for _ in range(2000)]
    for arm, deviation in (("arm 0", 1.0), ("arm 1", 3.0)):
        over_seeds = [np.var(list(study[arm].by_seed.values()), ddof=1) for study in studies]
        assert np.mean(over_seeds) == pytest.approx((deviation * DEVIATION) ** 2, rel=0.1)
    for study in studies[:5]:
        segments = study["arm 1"].segments
        total = segments.bits_SG.mean(axis=0).sum() / segments.bytes_G.sum()
        assert total == pytest.approx(study["arm 1"].mean)
    same_seeds = Setting((0.0, 0.0), 4, deviations=(0.0, 0.0), segments=20, text=2.0)
    text = [
        study["arm 0"].mean - study["arm 1"].mean
        for study in (simulate(same_seeds, random) for _ in range(2000))
    ]
    assert np.var(text) == pytest.approx(2.0 * 2 / 4 * DEVIATION**2, rel=0.15)


@pytest.mark.parametrize("seeds", [3, 5])
def test_arms_that_are_as_the_baseline_are_rarely_told_apart_and_intervals_cover(seeds):
    found = outcomes(all_equal(4, seeds, segments=40, text=1.0), 300)
    assert 0.02 < found.false_positives < 0.08
    assert found.family_wise < 0.08
    assert 0.92 < found.covers < 0.98


def test_without_inflation_the_interval_of_three_seeds_would_be_too_narrow(monkeypatch):
    """Where seeds are all that varies, had one not looked at their degrees of freedom."""
    monkeypatch.setattr(
        "lmjax.studies.statistics.Difference.half_width",
        property(lambda found: 1.96 * found.standard_error),
    )
    assert outcomes(all_equal(2, 3), 300).covers < 0.92


def test_an_arm_that_is_better_is_found():
    setting = Setting((0.0, -10.0, 0.0), 3, segments=40, text=0.3)
    assert outcomes(setting, 100).power > 0.95
    assert outcomes(setting, 100).covers > 0.88


def test_the_page_has_every_table(monkeypatch):
    for module, name in ((simulation, "ARMS"), (simulated_baselines, "OTHERS")):
        monkeypatch.setattr(module, name, (2,))
    page = simulation.report(studies=2)
    assert sum(line.startswith("| ---") for line in page.splitlines()) == 8
    assert "2 simulated studies" in page
