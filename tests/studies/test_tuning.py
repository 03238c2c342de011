"""The same trials for every arm, each a part of its training, and what validation makes of them."""

import json

import pytest

from lmjax.errors import UserError
from lmjax.runs.fields import leaves
from lmjax.studies.spaces import combinations
from lmjax.studies.study import Arm, Tuning
from lmjax.studies.tuning import (
    ArmSearch,
    Trial,
    check_same,
    choose,
    planned_trials,
    read_tuning,
    shortened,
    trial_durations,
    write_tuning,
)
from tests.studies.fake_runs import make_config, make_study

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
def test_every_trained_family_takes_the_same_grid_and_a_trial_changes_nothing_else(model):
    arm = Arm("A", make_config(model))
    trials = planned_trials(arm, Tuning(GRID, "10 percent", seed=5))
    assert len(trials) == 4
    before = dict(leaves(arm.config.to_dict()))
    for trial in trials.values():
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


def test_a_default_space_suits_every_trained_family():
    for model in ("rnn", "attention_rnn", "transformer"):
        assert len(planned_trials(Arm("A", make_config(model)), Tuning())) == 9


@pytest.mark.parametrize(
    ("arm", "space", "message"),
    [
        (Arm("A", make_config()), {"training.learnin_rate": (1,)}, "has no field"),
        (Arm("A", make_config()), {"model.width": (8, 16)}, "can't vary model.width"),
        (Arm("A", make_config(), choices={"model.layers": (1, 2)}), GRID, "choices of its own"),
    ],
)
def test_a_search_that_is_not_the_same_for_all_is_refused(arm, space, message, tmp_path):
    with pytest.raises(UserError, match=message):
        planned_trials(arm, Tuning(space))
    with pytest.raises(UserError, match=message):
        ArmSearch(arm, Tuning(space), tmp_path, "1 steps").left()


def test_trials_of_equal_flops_are_those_of_the_baseline():
    per_token = {8: 30.0, 16: 100.0}

    class Counted:
        def of(self, arm, quantity):
            tokens = 7 * int(arm.config.training.duration.split()[0])  # of "N steps"
            flops = tokens * per_token[arm.config.model.width]
            return {"training_tokens": tokens, "training_flops": flops}[quantity]

    arms = (Arm("A", make_config(width=8)), Arm("B", make_config(width=16)))
    tuning = Tuning(GRID, "10 percent", equal="flops")
    study = make_study(arms=arms, baseline="A", tuning=tuning)
    assert trial_durations(study, Counted()) == {
        "A": f"{7 * 200} tokens",
        "B": f"{7 * 200 * 30 // 100} tokens",
    }
    free = make_study(arms=arms, baseline="A", tuning=Tuning(GRID, "10 percent"))
    assert trial_durations(free) == {"A": "200 steps", "B": "200 steps"}
    counted = make_study(tuning=tuning, baseline="n-gram")
    with pytest.raises(UserError, match="baseline 'n-gram' is counted"):
        trial_durations(counted, Counted())


def test_the_lowest_that_ended_is_chosen_and_read_back(tmp_path):
    tuning = Tuning(GRID, "10 percent", seed=-1)
    scores = [None, 2.0, 1.5, 1.6]
    trials = [
        Trial(fields, score, 100, "" if score else "diverged")
        for fields, score in zip(combinations(GRID), scores, strict=True)
    ]
    assert choose(trials) is trials[2]
    assert choose(trials[:1]) is None
    assert read_tuning(tmp_path) is None
    write_tuning(tmp_path, Arm("A", make_config()), tuning, trials)
    kept = read_tuning(tmp_path)
    assert kept["chosen"] == {"training.learning_rate": 0.2, "model.initialization": 0.3}
    assert kept["duration"] == "200 steps"
    assert [trial["bits_per_byte"] for trial in kept["trials"]] == scores


def test_of_trials_with_unequal_budgets_only_those_with_the_most_are_compared():
    def trial(score, times):
        return Trial({}, score, 100, times=times)

    trials = [trial(1.0, 1), trial(1.5, 3), trial(1.4, 3), trial(None, 9)]
    assert choose(trials) is trials[2]


def test_a_record_of_before_there_were_other_searches_is_read(tmp_path):
    fields = {"training.learning_rate": 0.1}
    older = {
        "grid": {"training.learning_rate": [0.1]},
        "budget": "10 percent",
        "duration": "200 steps",
        "seed": 7,
        "trials": [{"fields": fields, "bits_per_byte": 1.5, "tokens": 9, "failure": ""}],
        "chosen": fields,
    }
    (tmp_path / "tuning.json").write_text(json.dumps(older))
    tuning = Tuning({"training.learning_rate": (0.1,)}, "10 percent", seed=7)
    check_same(read_tuning(tmp_path), tuning, "200 steps", tmp_path)


@pytest.mark.parametrize("damaged", ['{"grid": 1}', '{"tuning": {}}', "[]"])
def test_a_damaged_record_is_the_users_to_restore(damaged, tmp_path):
    (tmp_path / "tuning.json").write_text(damaged)
    with pytest.raises(UserError, match=r"tuning\.json.*restore"):
        read_tuning(tmp_path)
