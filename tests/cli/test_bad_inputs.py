"""A user's mistake ends in one or two lines that name it, a non-zero code, and no traceback."""

import gzip
import json
import os
import stat
from pathlib import Path

import pytest

from lmjax.cli.flags import define_config, parse
from lmjax.cli.main import main

CONFIG = """
from lmjax.config import base_config

def get_config(family="rnn"):
    config = base_config(family)
    config.data.update(corpus="text", files={files!r}, batch_size=2, length=8)
    config.model.update(width=8, layers=1)
    config.training.duration = "4 steps"
    return config
"""


@pytest.fixture
def fails(capsys):
    """Runs a command that must fail; returns what it said."""

    def run(*arguments):
        code = main(list(arguments))
        error = capsys.readouterr().err
        assert code == 2, error
        assert error.startswith("error: ") and "Traceback" not in error
        assert len(error.strip().splitlines()) <= 2
        return error

    return run


@pytest.fixture
def experiment(tmp_path):
    """A function from the corpus's content to an experiment file about it."""

    def write(content=b"a line of text\n" * 200, name="text.txt"):
        (tmp_path / name).write_bytes(content)
        path = tmp_path / "config.py"
        path.write_text(CONFIG.format(files=str(tmp_path / name)))
        return path

    return write


def test_unknown_configuration_key(fails, experiment, tmp_path):
    error = fails("train", f"--config={experiment()}", "--config.trainin.duration=3")
    assert "'trainin.duration'" in error and "did you mean 'training'" in error


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("seed=__import__('os').system('touch pwned')", "config.seed"),
        ("data.document_end=__import__('os').system('touch pwned')", "config.data.document_end"),
        ("data.cleaning=__import__('os').system('touch pwned')", "cleaning step"),
        ("data.cleaning=(1e400,)", "data.cleaning is inf"),
        ("data[__import__('os').system('touch pwned')]=1", "unknown configuration key"),
        ("model.name=rnn;touch pwned", "'rnn;touch pwned'"),
        ("training.learning_rate=nan", "training.learning_rate is nan"),
        ("training.learning_rate=-inf", "training.learning_rate is -inf"),
        ("training.learning_rate=1e400", "training.learning_rate is inf"),
        ("training.clip_norm=-1", "training.clip_norm is -1.0"),
        ("data.batch_size=-2", "data.batch_size is -2"),
        ("data.batch_size=" + "9" * 5000, "config.data.batch_size"),
        ("data.files=\0", "data.files has a NUL"),
        ("data={'corpus': 'text'}", "'data' is no field"),
        ("data.cleaning=None", "data.cleaning' should be: text, not None"),
        ("model.layers=0", "model.layers is 0; it is at least 1"),
        ("seed=99999999999999999999", "seed is 99999999999999999999; it is from 0"),
        ("training.duration=1e18 steps", "'1e18 steps'"),
        ("training.warmup=5 steps", "longer than the whole training of 4"),
        ("model.__class__=1", "'model.__class__'"),
    ],
)
def test_values_are_literals_and_possible(fails, experiment, tmp_path, monkeypatch, override, key):
    path = experiment()
    monkeypatch.chdir(tmp_path)
    error = fails("train", f"--config={path}", "--workdir=run", f"--config.{override}")
    assert key in error and len(error) < 800
    assert not (tmp_path / "pwned").exists()


def test_a_bias_may_be_negative_and_a_seed_may_not(fails, experiment, tmp_path):
    command = ("train", f"--config={experiment()}", f"--workdir={tmp_path}/run")
    assert "seed is -1" in fails(*command, "--config.seed=-1")
    assert main([*command, "--config.model.forget_bias=-1"]) == 0


@pytest.mark.parametrize("names", ["attention,,mamba", ",attention", "attention,"])
def test_an_empty_name_among_several_is_named(fails, experiment, names):
    error = fails(
        "train", f"--config={experiment()}:transformer", f"--config.model.pattern={names}"
    )
    assert f"--config.model.pattern={names} has an empty name" in error


def test_a_field_without_effect_is_told_of(experiment, tmp_path, capsys):
    command = ("train", f"--config={experiment()}", f"--workdir={tmp_path}/run")
    assert main([*command, "--config.training.momentum=0.9"]) == 0
    line = "training.momentum is 0.9, which has no effect while training.optimizer is 'adamw'"
    assert line in " ".join(capsys.readouterr().out.split())
    assert line in (tmp_path / "run" / "log.txt").read_text()


def test_unknown_model(fails, experiment):
    assert "did you mean 'rnn'" in fails("train", f"--config={experiment()}:rnnn")


def test_missing_corpus_file(fails, experiment, tmp_path):
    path = experiment()
    (tmp_path / "text.txt").unlink()
    error = fails("train", f"--config={path}", f"--workdir={tmp_path}/run")
    assert "text.txt" in error


def test_corrupted_corpus_file(fails, tmp_path, monkeypatch):
    folder = tmp_path / "data" / "ptb"
    folder.mkdir(parents=True)
    for split in ("train", "valid", "test"):
        with gzip.open(folder / f"ptb.{split}.txt.gz", "wb") as file:
            file.write(b" not the Penn Treebank \n")
    monkeypatch.setenv("LMJAX_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("LMJAX_CACHE_DIR", str(tmp_path / "cache"))
    path = Path(__file__).parent.parent.parent / "experiments" / "ptb" / "kneser_ney5.py"
    error = fails("train", f"--config={path}", f"--workdir={tmp_path}/run")
    assert "ptb.train.txt.gz" in error and "SHA-256" in error


def test_invalid_utf8(fails, experiment, tmp_path):
    path = experiment(b"good line\n" * 50 + b"bad \xff line\n")
    error = fails("train", f"--config={path}", f"--workdir={tmp_path}/run")
    assert "text.txt" in error and "504" in error


def test_empty_corpus(fails, experiment, tmp_path):
    path = experiment(b"")
    assert "empty" in fails("train", f"--config={path}", f"--workdir={tmp_path}/run")


def test_validation_split_shorter_than_a_window(fails, experiment, tmp_path):
    path = experiment()
    error = fails(
        "train",
        f"--config={path}",
        f"--workdir={tmp_path}/run",
        "--config.evaluation.context=windowed",
        "--config.evaluation.window=2000",
    )
    assert "window of 2000" in error


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write into any folder")
def test_workdir_without_permission(fails, experiment, tmp_path):
    locked = tmp_path / "locked"
    locked.mkdir()
    locked.chmod(stat.S_IRUSR | stat.S_IXUSR)
    error = fails("train", f"--config={experiment()}", f"--workdir={locked}/run")
    assert "choose another --workdir" in error


def test_workdir_that_is_a_file(fails, experiment, tmp_path):
    (tmp_path / "file").touch()
    error = fails("train", f"--config={experiment()}", f"--workdir={tmp_path}/file")
    assert "choose another --workdir" in error


def test_workdir_of_another_configuration(fails, experiment, tmp_path):
    path, workdir = experiment(), tmp_path / "run"
    assert main(["train", f"--config={path}", f"--workdir={workdir}"]) == 0
    error = fails("train", f"--config={path}", f"--workdir={workdir}", "--config.seed=5")
    assert "seed: 0 there, 5 here" in error


def test_overrides_of_no_configuration(fails, experiment, tmp_path):
    for override in ("model.name=rnn", "model.width=8", "seed=1"):
        error = fails("train", f"--workdir={tmp_path}/new", f"--config.{override}")
        assert f"--config.{override} changes a field of a configuration, and there is" in error
        assert "give --config=FILE, or the --workdir of a run that has begun" in error
    assert not (tmp_path / "new").exists()
    error = fails("doctor", "model", "--config.model.width=8")
    assert error.endswith("give --config=FILE\n")


def test_overrides_of_the_configuration_that_a_run_keeps(fails, experiment, tmp_path):
    workdir = tmp_path / "run"
    again = ("train", f"--workdir={workdir}")
    assert main([again[0], f"--config={experiment()}", again[1]]) == 0
    assert "model.width: 8 there, 9 here" in fails(*again, "--config.model.width=9")
    assert "did you mean 'training'" in fails(*again, "--config.trainin.duration=8 steps")
    assert "config.seed" in fails(*again, "--config.seed=one")
    assert main([*again, "--config.training.duration", "8 steps"]) == 0
    assert json.loads((workdir / "results.json").read_text())["training"]["steps"] == 8
    assert json.loads((workdir / "config.json").read_text())["training"]["duration"] == "8 steps"
    assert (workdir / "results_after_4_steps.json").exists()


def test_a_field_of_several_names_takes_commas(experiment):
    def given(*overrides):
        values = parse("train", "", "", define_config, [f"--config={experiment()}", *overrides])
        config = values.config
        return config.data.cleaning, config.evaluation.splits, config.logging.trackers

    names = ("a", "b"), ("validation", "test"), ("c", "d")
    fields = ("data.cleaning", "evaluation.splits", "logging.trackers")
    pairs = list(zip(fields, names, strict=True))
    assert given(*(f"--config.{field}={','.join(value)}" for field, value in pairs)) == names
    assert given(*(f"--config.{field}={value}" for field, value in pairs)) == names
    assert given(*(f"--config.{f}={name}" for f, value in pairs for name in value)) == names
    assert given() == ((), ("validation",), ())
    assert given("--config.evaluation.splits=()")[1] == ()
    assert given("--config.data.cleaning", "a, b")[0] == ("a", "b")
    for odd in (("mask", "class"), ("*/bias", "blocks_0/mixer"), ("=encoder",), ("encoder=",)):
        assert given(f"--config.data.cleaning={','.join(odd)}")[0] == odd


def test_prompt_outside_the_vocabulary(fails, experiment, tmp_path):
    path, workdir = experiment(), tmp_path / "run"
    tokenizer = "--config.data.tokenizer=character"
    assert main(["train", f"--config={path}", f"--workdir={workdir}", tokenizer]) == 0
    error = fails("sample", f"--workdir={workdir}", "--prompt=Ω")
    assert "Ω" in error


def test_a_loss_that_is_not_finite(fails, experiment, tmp_path):
    path, workdir = experiment(), tmp_path / "run"
    error = fails(
        "train",
        f"--config={path}",
        f"--workdir={workdir}",
        "--config.training.optimizer=sgd",
        "--config.training.learning_rate=1e30",
        "--config.training.weight_decay=1e30",
        "--config.training.schedule=constant",
        "--config.evaluation.every=100 steps",
        "--config.checkpoint.every=100 steps",
    )
    assert "step 1: the parameter params/" in error and "doctor replay" in error
    assert not any((workdir / "checkpoints").glob("[0-9]*"))


def test_results_that_somebody_changed(fails, experiment, tmp_path):
    path, workdir = experiment(), tmp_path / "run"
    assert main(["train", f"--config={path}", f"--workdir={workdir}"]) == 0
    results = json.loads((workdir / "results.json").read_text())
    results["training"]["scored_step"] = "4"
    (workdir / "results.json").write_text(json.dumps(results))
    for verb in ("evaluate", "sample"):
        error = fails(verb, f"--workdir={workdir}")
        assert "'training.scored_step' should be: count, not '4'" in error


@pytest.mark.parametrize("verb", ["evaluate", "sample"])
def test_a_folder_without_a_run(fails, verb, tmp_path):
    assert "no config.json" in fails(verb, f"--workdir={tmp_path}")


def test_mistyped_verbs_and_flags(fails):
    assert "did you mean 'train'" in fails("trian")
    assert "workdir" in fails("train", "--wrkdir=x")
    assert "--config=FILE is missing" in fails("train")
    assert "nowhere holds no run to go on with" in fails("train", "--workdir=nowhere")
    assert "nowhere.py" in fails("train", "--config=nowhere.py")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("def get_config():\n    return 1 / 0\n", "line 2: ZeroDivisionError: division by zero"),
        ("from lmjax.config import base_confg\n", "line 1: ImportError"),
        ("x = 1\n", "has no get_config(argument)"),
        ("def get_config():\n    return {}\n", "returned dict, not a ConfigDict"),
    ],
)
def test_a_mistake_in_an_experiment_file_is_told_with_its_line(fails, tmp_path, content, message):
    path = tmp_path / "mine.py"
    path.write_text(content)
    error = fails("train", f"--config={path}", "--config.seed=1")
    assert str(path) in error and message in error
    assert "no config file" in fails("train", f"--config={tmp_path}")
