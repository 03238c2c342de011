"""The same trials for every arm, each a part of its training, and what validation makes of them."""

import pytest

from lmjax.errors import UserError
from lmjax.runs.fields import leaves
from lmjax.studies.study import Arm, Tuning
from lmjax.studies.tuning import Trial, choose, planned_trials, read_tuning, shortened, write_tuning
from tests.studies.fake_runs import make_config

GRID = {"training.learning_rate": (0.1, 0.2), "model.initialization": (0.3, 0.4)}


@pytest.mark.parametrize(
    ("duration", "budget", "expected"),
    [
        ("2000 steps", "20 percent", "400 steps"),
        ("1 epochs", "5%", "0.05 epochs"),
        ("1e6 tokens", "100 percent", "1000000 tokens"),
        ("3 epochs", "500 steps", "500 steps"),
    ],
)
def test_a_budget_in_percent_is_a_share_of_the_training(duration, budget, expected):
    assert shortened(duration, budget) == expected


@pytest.mark.parametrize("budget", ["0 percent", "101 percent", "20", "20 pages", "-1 steps"])
def test_a_budget_that_cannot_be_is_refused(budget):
    with pytest.raises(UserError):
        shortened("1 epochs", budget)


@pytest.mark.parametrize("model", ["rnn", "attention_rnn", "transformer"])
def test_every_trained_family_takes_the_same_grid_and_a_trial_changes_nothing_else(model, tmp_path):
    arm = Arm("A", make_config(model))
    trials = planned_trials(arm, Tuning(GRID, "10 percent", seed=5), tmp_path)
    assert len(trials) == 4
    before = dict(leaves(arm.config.to_dict()))
    for path, trial in trials.items():
        assert path.parent == tmp_path / "tuning" / "a"
        after = dict(leaves(trial.config.to_dict()))
        assert {name for name in after if after[name] != before[name]} == {
            *GRID,
            "seed",
            "training.duration",
            "evaluation.every",
            "evaluation.checkpoint",
            "checkpoint.every",
        }
    rates = [trial.config.training.learning_rate for trial in trials.values()]
    assert sorted(rates) == [0.1, 0.1, 0.2, 0.2]


def test_a_default_grid_suits_every_trained_family(tmp_path):
    for model in ("rnn", "attention_rnn", "transformer"):
        assert len(planned_trials(Arm("A", make_config(model)), Tuning(), tmp_path)) == 9


@pytest.mark.parametrize(
    ("arm", "grid", "message"),
    [
        (Arm("A", make_config()), {"training.learnin_rate": (1,)}, "has no field"),
        (Arm("A", make_config()), {"model.width": (8, 16)}, "can't vary model.width"),
        (Arm("A", make_config(), choices={"model.layers": (1, 2)}), GRID, "choices of its own"),
    ],
)
def test_a_search_that_is_not_the_same_for_all_is_refused(arm, grid, message, tmp_path):
    with pytest.raises(UserError, match=message):
        planned_trials(arm, Tuning(grid), tmp_path)


def test_the_lowest_that_ended_is_chosen_and_read_back(tmp_path):
    tuning = Tuning(GRID, "10 percent", seed=-1)
    scores = [None, 2.0, 1.5, 1.6]
    trials = [
        Trial(fields, score, 100, "" if score else "diverged")
        for fields, score in zip(tuning.trials().values(), scores, strict=True)
    ]
    chosen = {"training.learning_rate": 0.2, "model.initialization": 0.3}
    assert choose(trials) == chosen
    assert choose(trials[:1]) == {}
    assert read_tuning(tmp_path) is None
    write_tuning(tmp_path, Arm("A", make_config()), tuning, trials)
    kept = read_tuning(tmp_path)
    assert kept["chosen"] == chosen
    assert kept["duration"] == "200 steps"
    assert [trial["bits_per_byte"] for trial in kept["trials"]] == scores


def test_a_damaged_record_is_the_users_to_restore(tmp_path):
    (tmp_path / "tuning.json").write_text('{"grid": 1}')
    with pytest.raises(UserError, match=r"tuning\.json.*restore"):
        read_tuning(tmp_path)
