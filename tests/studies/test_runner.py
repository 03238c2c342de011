"""What a study runs, skips, resumes, and survives."""

import json
import shutil
from types import SimpleNamespace

import pytest

from lmjax import api
from lmjax.errors import DivergedError, InUseError, UserError
from lmjax.runs.run_directory import RunDirectory
from lmjax.studies import runner
from lmjax.studies.reading import read_study
from lmjax.studies.study import Arm, Tuning
from lmjax.studies.tuning import read_tuning
from tests.studies.fake_runs import make_config, make_study, write_run
from tests.studies.fake_training import FakeTraining

ALL = [
    "n_gram/order=2/seed_4",
    "n_gram/order=3/seed_4",
    "gru/seed_4",
    "gru/seed_5",
    "lstm/seed_4",
    "lstm/seed_5",
]


def test_every_arm_choice_and_seed_is_trained_once_but_a_counted_arm_needs_one_seed(tmp_path):
    training = FakeTraining(tmp_path)
    assert training.run(make_study(seeds=(4, 5))) == []
    assert training.trained == ALL
    for name in ALL:
        config = RunDirectory(training.workdir / "arms" / name).config()
        assert f"seed_{config.seed}" == name.split("/")[-1]
    assert RunDirectory(training.workdir / "arms" / ALL[1]).config().model.order == 3


def test_running_again_skips_what_is_finished(tmp_path):
    training = FakeTraining(tmp_path)
    training.run(make_study(seeds=(4, 5)))
    continued = list(training.continued)
    (training.workdir / "arms" / ALL[3] / "results.json").unlink()
    training.trained.clear()
    (training.workdir / "arms" / ALL[3] / "metrics.jsonl").unlink()
    training.run(make_study(seeds=(4, 5)))
    assert training.trained == [ALL[3]]
    assert training.continued == continued


def test_each_arm_continues_the_prompt_once(tmp_path):
    training = FakeTraining(tmp_path)
    training.run(make_study(seeds=(4, 5), prompt="The <b>", continuation_length=7))
    assert training.continued == ["n_gram/order=2/seed_4", "gru/seed_4", "lstm/seed_4"]
    samples = training.workdir / "arms" / "gru" / "seed_4" / "samples.txt"
    assert samples.read_text() == "The <b>[7]"


def test_a_failing_arm_does_not_lose_the_others(tmp_path):
    broken = {"gru/seed_4": ValueError("[red]broken[/red]\nsecond line")}
    training = FakeTraining(tmp_path, fail=broken)
    failures = training.run(make_study(seeds=(4,)))
    assert len(failures) == 1
    assert "ValueError: [red]broken[/red]" in failures[0]
    assert "[red]broken[/red]" in training.output.getvalue()
    error = (training.workdir / "arms" / "gru" / "seed_4" / "error.txt").read_text()
    assert "Traceback" in error
    record = read_study(training.workdir)
    assert [bool(arm.finished) for arm in record.arms] == [True, False, True]
    assert record.arms[1].failures == ("seed_4: ValueError: [red]broken[/red]",)

    training.fail.clear()
    training.trained.clear()
    (failure,) = training.run(make_study(seeds=(4,)))
    assert "broken[/red] (" in failure and "; --retry trains it again)" in failure
    assert training.trained == []
    assert training.run(make_study(seeds=(4,)), retry=True) == []
    assert training.trained == ["gru/seed_4"]
    assert read_study(training.workdir).arms[1].failures == ()


def test_a_users_mistake_in_one_arm_leaves_no_traceback(tmp_path):
    training = FakeTraining(tmp_path, fail={"gru/seed_0": UserError("too wide; make it narrower")})
    training.run(make_study())
    error = training.workdir / "arms" / "gru" / "seed_0" / "error.txt"
    assert error.read_text() == "too wide; make it narrower"


def test_an_interrupt_is_not_an_arms_failure(tmp_path):
    training = FakeTraining(tmp_path, fail={"gru/seed_0": KeyboardInterrupt()})
    with pytest.raises(KeyboardInterrupt):
        training.run(make_study())
    assert "lstm/seed_0" not in training.trained


@pytest.mark.parametrize("preferred", ["order=2", "order=3"])
def test_choices_are_decided_by_validation_whatever_the_test_says(tmp_path, preferred):
    scores = {
        f"n_gram/{choice}/seed_0": {"validation": 1.0, "test": 9.0}
        if choice == preferred
        else {"validation": 1.1, "test": 0.1}
        for choice in ("order=2", "order=3")
    }
    training = FakeTraining(tmp_path, validation=scores)
    training.run(make_study())
    arm = read_study(training.workdir).arms[0]
    assert arm.chosen == preferred
    assert [run.path.parent.name for run in arm.runs] == [preferred]
    assert list(arm.considered) == [preferred, *({"order=2", "order=3"} - {preferred})]


def test_another_studys_folder_is_refused_before_anything_runs(tmp_path):
    FakeTraining(tmp_path).run(make_study())
    training = FakeTraining(tmp_path)
    with pytest.raises(UserError, match="holds the study 'small', not 'large'"):
        training.run(make_study(name="large"))
    assert training.trained == []
    assert json.loads((training.workdir / "study.json").read_text())["reference"] == ""
    assert json.loads((training.workdir / "study.json").read_text())["name"] == "small"


def test_runs_of_another_configuration_are_refused_before_anything_runs(tmp_path):
    study = make_study()
    FakeTraining(tmp_path).run(study)
    training = FakeTraining(tmp_path)
    arms = (*study.arms[:2], study.arms[2].with_fields({"model.width": 7}))
    with pytest.raises(UserError, match=r"lstm.* another configuration[^\n]*\n  model\.width"):
        training.run(make_study(arms=arms))
    assert training.trained == []


def of_duration(duration, **fields):
    study = make_study(**fields)
    arms = (*study.arms[:2], study.arms[2].with_fields({"training.duration": duration}))
    return make_study(arms=arms, **fields)


def test_a_finished_run_does_not_go_on_to_another_duration(tmp_path):
    FakeTraining(tmp_path).run(make_study())
    training = FakeTraining(tmp_path)
    with pytest.raises(
        UserError, match=r"lstm.* another configuration[^\n]*\n  training\.duration"
    ):
        training.run(of_duration("4000 steps"))
    assert training.trained == []


def test_a_folder_that_cannot_be_made_is_the_users_mistake(tmp_path):
    (tmp_path / "study").write_text("a file")
    with pytest.raises(UserError, match="choose another --workdir"):
        FakeTraining(tmp_path).run(make_study())


def test_a_failure_keeps_no_secret(tmp_path, monkeypatch):
    monkeypatch.setenv("API_TOKEN", "very secret")
    training = FakeTraining(tmp_path, fail={"gru/seed_0": ValueError("very secret\nvery secret")})
    (failure,) = training.run(make_study())
    error = (training.workdir / "arms" / "gru" / "seed_0" / "error.txt").read_text()
    for text in (failure, error, training.output.getvalue()):
        assert "***" in text and "very secret" not in text


def test_a_choice_that_names_no_folder_of_its_arm_is_refused(tmp_path):
    arms = (Arm("A", make_config(), choices={"model.cell": ("x", "../../../../x")}),)
    training = FakeTraining(tmp_path)
    with pytest.raises(UserError, match="is no name of something in"):
        training.run(make_study(arms=arms, baseline="A"))
    assert not training.trained


TUNING = Tuning(
    {"training.learning_rate": (0.1, 0.2), "model.initialization": (0.3,)}, "10 percent", seed=7
)
TRIALS = [
    f"tuning/{arm}/learning_rate={rate},initialization=0.3"
    for arm in ("gru", "lstm")
    for rate in (0.1, 0.2)
]
RUNS = ["n_gram/order=2/seed_4", "n_gram/order=3/seed_4", "gru/seed_4", "lstm/seed_4"]


def tuned_study(**fields):
    return make_study(**{"seeds": (4,), "tuning": TUNING} | fields)


def test_every_trained_arm_is_tried_alike_and_then_trained_with_what_validation_chose(tmp_path):
    scores = {TRIALS[0]: {"validation": 1.5}, TRIALS[3]: {"validation": 1.7, "test": 0.1}}
    training = FakeTraining(tmp_path, validation=scores)
    assert training.run(tuned_study(seeds=(4, 5))) == []
    assert training.trained == [*TRIALS, *RUNS[:2], *ALL[2:]]
    for arm, rate in (("gru", 0.1), ("lstm", 0.2)):
        for seed in (4, 5):
            path = training.workdir / "arms" / arm / f"seed_{seed}"
            config = RunDirectory(path).config()
            assert (config.training.learning_rate, config.model.initialization) == (rate, 0.3)
            assert config.training.duration == "2000 steps"
            tuned = read_tuning(path)
            assert tuned["chosen"] == {"training.learning_rate": rate, "model.initialization": 0.3}
            assert [trial["fields"]["training.learning_rate"] for trial in tuned["trials"]] == [
                0.1,
                0.2,
            ]
            assert (tuned["tuning"]["budget"], tuned["tuning"]["seed"]) == ("10 percent", 7)
    for name in TRIALS:
        config = RunDirectory(training.workdir / name).config()
        assert (config.training.duration, config.seed) == ("200 steps", 7)
    written = json.loads((training.workdir / "study.json").read_text())["tuning"]
    assert written["budget"] == "10 percent"


def test_trials_that_ended_are_not_run_again(tmp_path):
    training = FakeTraining(tmp_path, fail={TRIALS[1]: KeyboardInterrupt()})
    with pytest.raises(KeyboardInterrupt):
        training.run(tuned_study())
    assert training.trained == TRIALS[:2]
    training.fail.clear()
    training.trained.clear()
    training.run(tuned_study())
    assert training.trained == [*TRIALS[1:], *RUNS]
    training.trained.clear()
    training.run(tuned_study())
    assert training.trained == []


def test_a_trial_that_diverged_has_lost_and_is_listed(tmp_path):
    training = FakeTraining(tmp_path, fail={TRIALS[0]: DivergedError("loss is nan; lower it")})
    assert training.run(tuned_study()) == []
    tuned = read_tuning(training.workdir / "arms" / "gru" / "seed_4")
    assert tuned["chosen"]["training.learning_rate"] == 0.2
    assert tuned["trials"][0]["failure"] == "loss is nan; lower it"
    assert tuned["trials"][0]["bits_per_byte"] is None
    training.trained.clear()
    training.run(tuned_study())
    assert training.trained == []


@pytest.mark.parametrize(
    ("failing", "cause"),
    [
        ({TRIALS[0]: ValueError("disk")}, "a trial of it failed"),
        ({TRIALS[0]: InUseError("in use")}, "a trial of it failed"),
        (dict.fromkeys(TRIALS[:2], DivergedError("nan")), "every trial of it diverged"),
    ],
)
def test_an_arm_is_not_trained_untuned(tmp_path, failing, cause):
    training = FakeTraining(tmp_path, fail=failing)
    failures = training.run(tuned_study())
    assert cause in failures[-1]
    assert "gru/seed_4" not in training.trained
    assert "lstm/seed_4" in training.trained
    record = read_study(training.workdir).arms[1]
    assert cause in record.failures[0]
    training.fail.clear()
    assert training.run(tuned_study(), retry=True) == []
    assert "gru/seed_4" in training.trained
    assert not read_study(training.workdir).arms[1].failures


def test_another_tuning_in_the_same_folder_is_refused(tmp_path):
    training = FakeTraining(tmp_path)
    training.run(tuned_study())
    training.trained.clear()
    other = Tuning(TUNING.space, TUNING.budget, seed=8)
    with pytest.raises(UserError, match=r"another search.*\n  seed: 7 there, 8 here"):
        training.run(tuned_study(tuning=other))
    assert not training.trained


@pytest.mark.parametrize(
    ("budget", "message"),
    [("10 percent", "lstm was tuned by trials of 200 steps.*400 steps"), ("9 steps", "configurat")],
)
def test_what_was_tuned_for_another_duration_is_refused(tmp_path, budget, message):
    fields = {"seeds": (4,), "tuning": Tuning(TUNING.space, budget)}
    training = FakeTraining(tmp_path)
    training.run(make_study(**fields))
    shutil.rmtree(training.workdir / "tuning" / "lstm" / "learning_rate=0.1,initialization=0.3")
    training.trained.clear()
    with pytest.raises(UserError, match=message):
        training.run(of_duration("4000 steps", **fields))
    assert not training.trained


def test_the_test_split_is_read_after_all_training_of_what_was_chosen_alone(tmp_path):
    scores = {"n_gram/order=3/seed_4": {"validation": 1.0}}
    training = FakeTraining(tmp_path, validation=scores)
    training.score_test = lambda path: training.trained.append(f"test of {training.name(path)}")
    training.run(tuned_study(seeds=(4, 5)))
    tested = ["n_gram/order=3/seed_4", *ALL[2:]]
    assert training.trained[-len(tested) :] == [f"test of {name}" for name in tested]
    assert len(training.trained) == len(TRIALS) + len(ALL) + len(tested)


def test_the_test_split_is_not_read_while_a_choice_is_open(tmp_path):
    broken = {"n_gram/order=3/seed_4": ValueError("broken"), "gru/seed_5": ValueError("broken")}
    training = FakeTraining(tmp_path, fail=broken)
    training.run(make_study(seeds=(4, 5)))
    assert training.tested == ["gru/seed_4", "lstm/seed_4", "lstm/seed_5"]


@pytest.mark.parametrize(("has_test", "expected"), [(True, 1), (False, 0)])
def test_test_is_scored_once_where_the_corpus_has_it(tmp_path, monkeypatch, has_test, expected):
    read = []
    splits = {"validation": None} | ({"test": None} if has_test else {})
    monkeypatch.setattr(runner, "open_dataset", lambda data: SimpleNamespace(splits=splits))
    trained = SimpleNamespace(evaluate_task=lambda split, **_: read.append(split))
    monkeypatch.setattr(api, "load", lambda path: trained)
    results = write_run(make_config(), tmp_path / "run")
    del results["splits"]["test"]
    RunDirectory(tmp_path / "run").write_results(results)
    runner.score_test(tmp_path / "run")
    assert read == ["test"] * expected

    write_run(make_config(), tmp_path / "scored")
    runner.score_test(tmp_path / "scored")
    assert read == ["test"] * expected


def test_a_prompt_outside_a_vocabulary_does_not_make_a_run_a_failed_one(tmp_path):
    training = FakeTraining(tmp_path, fail={"sample of gru/seed_4": UserError("unknown 'é'")})
    assert training.run(make_study(seeds=(4,))) == []
    assert "no sample of" in training.output.getvalue()
    assert "unknown 'é'" in training.output.getvalue()
    arms = read_study(training.workdir).arms
    assert not any(arm.failures for arm in arms)
    assert [bool(arm.runs[0].sample) for arm in arms] == [True, False, True]


def test_a_study_and_a_run_never_share_a_folder(tmp_path):
    run = RunDirectory(tmp_path / "study")
    run.create(make_config())
    training = FakeTraining(tmp_path)
    with pytest.raises(UserError, match="holds a run, not a study"):
        training.run(make_study())
    (tmp_path / "study" / "config.json").unlink()
    training.run(make_study())
    with pytest.raises(UserError, match="holds a study, not a run"):
        run.create(make_config())
