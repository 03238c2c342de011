"""The expected best of k trials, against all draws of them, and as a report shows it."""

import csv
import itertools

import numpy as np
import pytest

from lmjax.studies.best_of import NAME, expected_best, unbiased_best
from lmjax.studies.report import write_report
from lmjax.studies.spaces import LogUniform, draw
from lmjax.studies.study import Arm, Tuning
from lmjax.studies.tuning import Trial, write_tuning
from tests.studies.fake_runs import make_config
from tests.studies.fake_studies import write_study

SPACE = {"training.learning_rate": LogUniform(1e-4, 1e-1)}


@pytest.mark.parametrize("scores", [[2.0], [1.5, 1.5, 1.5], [3.0, 1.0, 2.0, 2.0, 9.0]])
def test_it_is_that_over_all_draws(scores):
    mean, deviation = expected_best(scores)
    unbiased = unbiased_best(scores)
    for k in range(1, len(scores) + 1):
        drawn = [min(few) for few in itertools.product(scores, repeat=k)]
        np.testing.assert_allclose(mean[k - 1], np.mean(drawn), rtol=1e-12)
        np.testing.assert_allclose(deviation[k - 1], np.std(drawn), rtol=1e-12, atol=1e-15)
        without = [min(few) for few in itertools.combinations(scores, k)]
        np.testing.assert_allclose(unbiased[k - 1], np.mean(without), rtol=1e-12)


def write_tuned(workdir, tuning, scores):
    write_study(workdir, {name: [1.0] for name in scores}, baseline=next(iter(scores)))
    for name, of_arm in scores.items():
        points = draw(tuning.space, len(of_arm), 0)
        trials = [
            Trial(point, score, 600, times=times)
            for point, (score, times) in zip(points, of_arm, strict=True)
        ]
        arm = Arm(name, make_config())
        write_tuning(workdir / "arms" / arm.folder / "seed_0", arm, tuning, trials)


def curves(workdir):
    with open(workdir / "plots" / f"{NAME}.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {
        name: [float(row["expected_best"]) for row in rows if row["arm"] == name]
        for name in dict.fromkeys(row["arm"] for row in rows)
    }


def test_a_report_has_a_curve_for_each_tuned_arm(tmp_path):
    tuning = Tuning(SPACE, search="random", trials=3)
    first = [(2.0, 1), (1.0, 1), (3.0, 1)]
    write_tuned(tmp_path, tuning, {"A": first, "B": [(2.5, 1), (None, 1), (1.5, 1)]})
    write_report(tmp_path)
    drawn = curves(tmp_path)
    assert drawn["A"] == expected_best([1.0, 2.0, 3.0])[0].tolist()
    assert drawn["B"] == expected_best([1.5, 2.5, 2.5])[0].tolist(), "diverged as the worst"
    for suffix in ("svg", "png"):
        assert (tmp_path / "plots" / f"{NAME}.{suffix}").stat().st_size
    for page in ("report.html", "report.md"):
        assert "best of k random trials" in (tmp_path / page).read_text()


def test_a_rung_that_was_chosen_into_is_left_out_and_so_are_trials_that_were_proposed(tmp_path):
    tuning = Tuning(SPACE, "1 steps", search="successive_halving", trials=4, factor=2)
    rungs = [(2.0, 1), (1.0, 1), (3.0, 1), (4.0, 1), (0.1, 2), (0.2, 2)]
    write_tuned(tmp_path / "rungs", tuning, {"A": rungs})
    write_report(tmp_path / "rungs")
    assert curves(tmp_path / "rungs")["A"] == expected_best([1.0, 2.0, 3.0, 4.0])[0].tolist()
    proposed = Tuning(SPACE, search="optuna", trials=2)
    write_tuned(tmp_path / "optuna", proposed, {"A": [(2.0, 1), (1.0, 1)]})
    write_report(tmp_path / "optuna")
    assert not (tmp_path / "optuna" / "plots" / f"{NAME}.csv").exists()


def test_a_grids_curve_says_that_it_is_over_the_grid(tmp_path):
    grid = Tuning({"training.learning_rate": (0.1, 0.2)})
    write_tuned(tmp_path, grid, {"A": [(2.0, 1), (1.0, 1)]})
    write_report(tmp_path)
    assert "best of k points drawn from the grid" in (tmp_path / "report.md").read_text()
