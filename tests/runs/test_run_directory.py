import json
import subprocess
import sys

import pytest

from lmjax.config import LATER, base_config
from lmjax.errors import UserError
from lmjax.runs import run_directory
from lmjax.runs.run_directory import RunDirectory


@pytest.fixture
def run(tmp_path):
    run = RunDirectory(tmp_path / "a" / "b")
    run.create(base_config("rnn"))
    return run


def test_making_one_touches_nothing(tmp_path):
    RunDirectory(tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_config_comes_back_equal_and_locked(tmp_path):
    config = base_config("rnn")
    config.data.cleaning = ("nfc", "whitespace")
    config.training.learning_rate = 0.1 + 0.2
    run = RunDirectory(str(tmp_path / "naïve run"))
    run.create(config)
    run.create(config)
    assert run.config() == config
    assert run.config().is_locked
    assert json.loads((run.path / "config.json").read_text())["data"]["cleaning"][0] == "nfc"


def test_a_config_of_before_there_were_folds_is_that_of_none(run):
    path = run.path / "config.json"
    older = json.loads(path.read_text())
    for name in ("folds", "fold"):
        del older["data"][name]
    path.write_text(json.dumps(older))
    assert run.config() == base_config("rnn")
    run.check(base_config("rnn"))
    config = base_config("rnn")
    config.data.folds = 2
    with pytest.raises(UserError, match="data.folds: 0 there, 2 here"):
        run.check(config)


def test_a_config_that_lacks_later_fields_of_a_model_is_that_of_their_defaults(tmp_path):
    config, run = base_config("transformer"), RunDirectory(tmp_path)
    run.create(config)
    older = json.loads((path := run.path / "config.json").read_text())
    later = [name.removeprefix("model.") for name in LATER if name.startswith("model.")]
    later = [name for name in later if name in older["model"]]
    for name in later:
        del older["model"][name]
    assert len(later) > 6
    path.write_text(json.dumps(older))
    assert run.config() == config
    run.check(config)
    config.model.norm_epsilon = 1e-6
    with pytest.raises(UserError, match="model.norm_epsilon: 1e-05 there, 1e-06 here"):
        run.check(config)


def test_another_config_is_refused_with_both_values(run):
    config = base_config("rnn")
    config.model.width = 64
    config.seed = 7
    with pytest.raises(UserError) as error:
        run.create(config)
    message = str(error.value)
    assert "model.width: 256 there, 64 here" in message
    assert "seed: 0 there, 7 here" in message
    assert "choose another --workdir" in message
    assert message.splitlines()[1:] == [
        "  model.width: 256 there, 64 here",
        "  seed: 0 there, 7 here",
    ]
    assert "data." not in message
    assert run.config() == base_config("rnn")


def test_of_many_differences_a_few_are_listed(run):
    with pytest.raises(UserError) as error:
        run.create(base_config("transformer"))
    lines = str(error.value).splitlines()
    assert len(lines) == 10 and all(len(line) < 100 for line in lines[1:])
    assert lines[-1].startswith("  and ") and lines[-1].endswith(" more")


def test_a_folder_that_holds_a_study_is_no_runs(tmp_path):
    (tmp_path / "study.json").write_text("{}")
    with pytest.raises(UserError, match="holds a study, not a run"):
        RunDirectory(tmp_path).check(base_config("rnn"))


def test_harmless_fields_may_change_and_are_kept(run):
    config = base_config("rnn")
    config.checkpoint.keep = 9
    config.logging.every = "1 steps"
    config.health.on_nonfinite = "skip"
    run.create(config)
    assert run.config() == config


def test_a_field_that_only_one_has_is_a_difference(run):
    config = base_config("rnn")
    with config.unlocked():
        config.model.heads = 4
    with pytest.raises(UserError, match="model.heads: absent there, 4 here"):
        run.create(config)


def test_unwritable_path_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "run", "/proc/run"):
        with pytest.raises(UserError, match="cannot write to .*; choose another --workdir"):
            RunDirectory(path).create(base_config("rnn"))


def test_read_only_directory_is_refused(tmp_path):
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    (tmp_path / "run").chmod(0o500)
    if _can_write(tmp_path / "run"):
        pytest.skip("this user may write anywhere")
    with pytest.raises(UserError, match="cannot write to"):
        RunDirectory(tmp_path / "run").create(base_config("rnn"))


def _can_write(folder):
    try:
        (folder / "probe").touch()
    except OSError:
        return False
    return True


def test_what_is_no_run_is_refused(tmp_path):
    for read in ("config", "metrics", "results"):
        for path in (tmp_path, tmp_path / "absent"):
            with pytest.raises(UserError, match="holds no run"):
                getattr(RunDirectory(path), read)()


def test_results_finish_a_run(run):
    assert not run.is_finished
    with pytest.raises(UserError, match="not finished"):
        run.results()
    run.write_results({"splits": {}, "training": {"seconds": float("inf")}})
    assert run.is_finished and RunDirectory(run.path).is_finished
    assert run.results() == {"splits": {}, "training": {"seconds": None}}


def test_metrics_are_resumed_where_the_checkpoint_was(run):
    for step in (1, 2, 3):
        run.append_metrics({"kind": "train", "step": step})
    again = RunDirectory(run.path)
    again.truncate_metrics(1, evaluated_step=0)
    again.append_metrics({"kind": "train", "step": 2, "loss": 1.0})
    assert again.metrics() == [
        {"kind": "train", "step": 1},
        {"kind": "train", "step": 2, "loss": 1.0},
    ]


def test_rows_survive_a_kill(run):
    program = (
        "import os, signal, sys; from lmjax.runs.run_directory import RunDirectory\n"
        "run = RunDirectory(sys.argv[1])\n"
        "for step in range(5): run.append_metrics({'kind': 'train', 'step': step})\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", program, str(run.path)]).returncode == -9
    assert [row["step"] for row in run.metrics()] == list(range(5))


def test_each_other_environment_of_a_resumed_run_is_kept(run, monkeypatch):
    for commit in ("first", "first", "second", "first", "second", "third"):
        monkeypatch.setattr(run_directory, "environment", lambda commit=commit: {"commit": commit})
        run.write_environment()
    written = json.loads((run.path / "environment.json").read_text())
    assert written == {"commit": "first", "resumed_in": [{"commit": "second"}, {"commit": "third"}]}


def test_log_and_samples_are_text(run):
    run.log("one")
    run.log("naïve")
    run.write_samples("日本\n")
    assert (run.path / "log.txt").read_text(encoding="utf-8") == "one\nnaïve\n"
    assert (run.path / "samples.txt").read_text(encoding="utf-8") == "日本\n"
