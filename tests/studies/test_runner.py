"""What a study runs, skips, resumes, and survives."""

import io
import json

import pytest
from rich.console import Console

from lmjax.errors import UserError
from lmjax.runs.run_directory import RunDirectory
from lmjax.studies.records import read_study
from lmjax.studies.runner import run_study
from lmjax.studies.study import Arm
from tests.studies.fake_runs import make_config, make_study, write_run


class FakeTraining:
    """Trains like `lmjax.training.run.train`, and remembers what it was asked for."""

    def __init__(self, tmp_path, fail=None, validation=None):
        self.workdir = tmp_path / "study"
        self.trained, self.skipped, self.continued = [], [], []
        self.fail = fail or {}
        self.validation = validation or {}
        self.output = io.StringIO()

    def __call__(self, config, path, console):
        name = path.relative_to(self.workdir / "arms").as_posix()
        RunDirectory(path).create(config)
        if RunDirectory(path).is_finished:
            self.skipped.append(name)
            return
        self.trained.append(name)
        if name in self.fail:
            raise self.fail[name]
        write_run(config, path, **self.validation.get(name, {}))

    def continue_prompt(self, path, prompt, length):
        self.continued.append(path.relative_to(self.workdir / "arms").as_posix())
        return f"[{length}]"

    def run(self, study):
        return run_study(
            study,
            self.workdir,
            console=Console(file=self.output, width=200),
            train=self,
            continue_prompt=self.continue_prompt,
        )


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
    assert training.skipped == [name for name in ALL if name != ALL[3]]
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
    assert training.run(make_study(seeds=(4,))) == []
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
    assert training.trained == training.skipped == []
    assert json.loads((training.workdir / "study.json").read_text())["name"] == "small"


def test_runs_of_another_configuration_are_refused_before_anything_runs(tmp_path):
    study = make_study()
    FakeTraining(tmp_path).run(study)
    training = FakeTraining(tmp_path)
    arms = (*study.arms[:2], study.arms[2].with_fields({"model.width": 7}))
    with pytest.raises(UserError, match=r"lstm.* another configuration \(model\.width"):
        training.run(make_study(arms=arms))
    assert training.trained == training.skipped == []


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
    arms = (Arm("A", make_config(), choices={"data.files": ("x", "../../../../x")}),)
    training = FakeTraining(tmp_path)
    with pytest.raises(UserError, match="is no name of something in"):
        training.run(make_study(arms=arms, baseline="A"))
    assert not training.trained
