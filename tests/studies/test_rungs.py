"""Successive halving in the folders of a study: from rung to rung, also where it was killed."""

import shutil
from dataclasses import replace

import pytest

from lmjax.errors import DivergedError, UserError
from lmjax.studies.reading import read_study
from lmjax.studies.spaces import LogUniform, draw
from lmjax.studies.study import Tuning
from lmjax.studies.summary import summary_rows
from lmjax.studies.tuning import read_tuning
from tests.studies.fake_runs import make_study
from tests.studies.fake_training import FakeTraining

RUNGS = Tuning(
    {"training.learning_rate": LogUniform(1e-3, 1.0)},
    "10 percent",
    search="successive_halving",
    trials=4,
    factor=2,
)


def tuned_study(tuning=RUNGS):
    return make_study(seeds=(4,), tuning=tuning)


class Rungs(FakeTraining):
    """Trains what goes on, too; the lowest rate is the best and gains nothing by going on."""

    def __call__(self, config, path, console):
        (path / "metrics.jsonl").unlink(missing_ok=True)
        rate = config.training.learning_rate
        longer = int(config.training.duration.split()[0]) - 200
        gain = 0.0 if rate == min(rates()) else longer / 1000
        self.validation[self.name(path)] = {"validation": 2.0 + rate / 10 - gain}
        super().__call__(config, path, console)
        self.trained[-1] += f" for {config.training.duration}"


def rates():
    return [point["training.learning_rate"] for point in draw(RUNGS.space, 4, RUNGS.seed)]


def rung(arm, of_rates, duration):
    return [f"tuning/{arm}/learning_rate={rate} for {duration}" for rate in of_rates]


def test_all_arms_go_from_rung_to_rung_together_and_what_goes_on_is_not_trained_anew(tmp_path):
    training = Rungs(tmp_path)
    assert training.run(tuned_study()) == []
    best = sorted(rates())[:2]
    searched = [
        *(run for arm in ("gru", "lstm") for run in rung(arm, rates(), "200 steps")),
        *(run for arm in ("gru", "lstm") for run in rung(arm, best, "400 steps")),
    ]
    assert training.trained[: len(searched)] == searched
    assert [run.split(" for ")[1] for run in training.trained[len(searched) :]] == [
        "2000 steps"
    ] * 4
    tuned = read_tuning(training.workdir / "arms" / "gru" / "seed_4")
    assert [trial["times"] for trial in tuned["trials"]] == [1] * 4 + [2] * 2
    assert tuned["chosen"] == {"training.learning_rate": best[1]}, "the best of the last rung"
    assert tuned["trials"][0]["flops"] == 1e4 * tuned["trials"][0]["tokens"]
    assert figures(training.workdir)["trials"] == "4"
    assert figures(training.workdir)["tuning tokens"] == "12,000", "of four folders"
    training.trained.clear()
    assert training.run(tuned_study()) == []
    assert training.trained == []


def figures(workdir):
    return summary_rows(read_study(workdir))[1].figures


@pytest.mark.parametrize("place", [2, 8, 11])  # of twelve trials, of which the last four go on
def test_a_search_that_was_killed_goes_on_with_the_same_trials(place, tmp_path):
    whole = Rungs(tmp_path / "whole")
    whole.run(tuned_study())
    training = Rungs(tmp_path)
    killed = whole.trained[place].split(" for ")

    def die(config, path, console):
        if [training.name(path), config.training.duration] == killed:
            raise KeyboardInterrupt
        training(config, path, console)

    with pytest.raises(KeyboardInterrupt):
        training.run(tuned_study(), train=die)
    assert training.trained == whole.trained[:place]
    training.run(tuned_study())
    assert sorted(training.trained) == sorted(whole.trained)
    kept = [run.workdir / "tuning" / "lstm" / "tuning.json" for run in (whole, training)]
    assert kept[0].read_text() == kept[1].read_text()


def test_what_diverges_in_a_later_rung_has_lost(tmp_path):
    training = Rungs(tmp_path)
    second = f"tuning/gru/learning_rate={sorted(rates())[1]}"

    def diverge(config, path, console):
        if training.name(path) == second and config.training.duration == "400 steps":
            raise DivergedError("loss is nan")
        training(config, path, console)

    for _ in range(2):
        training.run(tuned_study(), train=diverge)
    tuned = read_tuning(training.workdir / "arms" / "gru" / "seed_4")
    assert tuned["chosen"] == {"training.learning_rate": min(rates())}
    assert [trial["failure"] for trial in tuned["trials"]][-2:].count("loss is nan") == 1
    assert figures(training.workdir)["trials"] == "4 (1 failed)"


def test_a_trial_that_failed_keeps_its_arm_waiting_until_it_is_tried_again(tmp_path):
    training = Rungs(tmp_path)
    second = f"tuning/gru/learning_rate={sorted(rates())[1]}"

    def fail(config, path, console):
        if training.name(path) == second and config.training.duration == "400 steps":
            raise ValueError("disk")
        training(config, path, console)

    failures = training.run(tuned_study(), train=fail)
    assert "ValueError: disk" in failures[0] and "a trial of it failed" in failures[1]
    assert not any(run.startswith("gru/") for run in training.trained)
    assert any(run.startswith("lstm/") for run in training.trained)
    done = list(training.trained)
    assert "--retry" in training.run(tuned_study())[0]
    assert training.trained == done
    assert training.run(tuned_study(), retry=True) == []
    assert training.trained[len(done) :] == [f"{second} for 400 steps", "gru/seed_4 for 2000 steps"]


def test_trials_that_ended_after_another_budget_are_another_search(tmp_path):
    training = Rungs(tmp_path)
    failing = [f"tuning/{arm}/learning_rate={rates()[-1]}" for arm in ("gru", "lstm")]
    training.fail = dict.fromkeys(failing, ValueError("disk"))
    training.run(tuned_study())
    training.trained.clear()
    for name in failing:
        shutil.rmtree(training.workdir / name)
    with pytest.raises(UserError, match=r"another configuration[^\n]*\n  training\.duration"):
        training.run(tuned_study(replace(RUNGS, budget="5 percent")))
    assert not training.trained
