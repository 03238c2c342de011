"""Metrics reach other tools, and nothing that happens to those tools reaches a run."""

import io
import struct
import sys
import time

import pytest
from rich.console import Console

from lmjax.config import base_config
from lmjax.errors import UserError
from lmjax.runs import trackers
from lmjax.runs.run_directory import RunDirectory
from lmjax.runs.trackers import check_trackers, mirrored
from lmjax.training.metrics import CLOCKS
from lmjax.training.run import train


def row(step, loss, kind="train", **others):
    return {"kind": kind, "step": step, "loss": loss, "examples": "5e1d", **others}


def config_with(*names):
    config = base_config("rnn")
    config.logging.trackers = names
    return config


def begun(path, config):
    run = RunDirectory(path)
    run.create(config)
    return run


def events_in(folder):
    """The scalars of event files as TensorBoard takes them: `{(name, step): value}`."""
    from tensorboardX.proto.event_pb2 import Event, SessionLog

    scalars = {}
    for path in sorted(folder.iterdir()):
        content, begin = path.read_bytes(), 0
        while begin < len(content):
            (length,) = struct.unpack_from("<Q", content, begin)
            event = Event.FromString(content[begin + 12 : begin + 12 + length])
            begin += 16 + length
            if event.session_log.status == SessionLog.START:
                scalars = {key: value for key, value in scalars.items() if key[1] < event.step}
            scalars |= {
                (value.tag, event.step): value.simple_value for value in event.summary.value
            }
    return scalars


def test_tensorboard_has_the_rows(tmp_path):
    config = config_with("tensorboard")
    run = begun(tmp_path, config)
    with mirrored(run, config, Console(quiet=True)):
        run.append_metrics(row(5, 3.5, extras={"router": 0.25}, measures={"dropped": 0.5}))
        run.append_metrics(row(5, 3.0, "evaluation", split="validation", perplexity=20.0))
        run.append_metrics(row(10, 2.5))
        run.append_metrics(row(15, 2.25))
        run.truncate_metrics(5, 5)  # a rollback, and other numbers after it
        run.append_metrics(row(10, 2.0))
    run.truncate_metrics(5, 5)
    with mirrored(run, config, Console(quiet=True)):  # stopped, and resumed at step 5
        run.append_metrics(row(10, 1.0))
    assert events_in(tmp_path / "trackers" / "tensorboard") == {
        ("train/loss", 5): 3.5,
        ("train/extras/router", 5): 0.25,
        ("train/measures/dropped", 5): 0.5,
        ("validation/loss", 5): 3.0,
        ("validation/perplexity", 5): 20.0,
        ("train/loss", 10): 1.0,
    }


def test_wandb_is_written_offline(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("LMJAX_OFFLINE", "1")
    config = config_with("wandb")
    run = begun(tmp_path / "run", config)
    said = io.StringIO()
    for loss in (3.5, 2.5):
        with mirrored(run, config, Console(file=said)):
            run.append_metrics(row(int(10 / loss), loss))
    files = sorted((tmp_path / "run" / "trackers" / "wandb").rglob("*.wandb"))
    assert said.getvalue() == "" and len(files) == 2
    kept_id = (tmp_path / "run" / "trackers" / "wandb" / "id.txt").read_bytes()
    for file in files:
        deadline = time.monotonic() + 30  # another process writes it
        while b"train/loss" not in file.read_bytes() and time.monotonic() < deadline:
            time.sleep(0.1)
        content = file.read_bytes()
        assert b"train/loss" in content and kept_id in content


class Failing:
    """Fails at a call; the calls are counted."""

    package = "json"

    def __init__(self, at):
        self.at, self.calls = at, []

    def __call__(self, folder, config):
        return self._call("start") or self

    def write(self, step, values):
        self._call("write")

    def close(self):
        self._call("close")

    def _call(self, what):
        self.calls.append(what)
        if what == self.at:
            raise RuntimeError(f"the server is gone at {what}")


@pytest.mark.parametrize(
    ("at", "calls"),
    [
        ("start", ["start"]),
        ("write", ["start", "write"]),
        ("close", ["start", "write", "write", "close"]),
        ("never", ["start", "write", "write", "close"]),
    ],
)
def test_a_failure_is_said_once_and_ends_nothing(tmp_path, monkeypatch, at, calls):
    failing = Failing(at)
    monkeypatch.setitem(trackers.TRACKERS, "failing", failing)
    config = config_with("failing")
    run, said = begun(tmp_path, config), io.StringIO()
    with mirrored(run, config, Console(file=said, width=200)):
        run.append_metrics(row(1, 3.0))
        run.append_metrics(row(2, 3.0))
    assert failing.calls == calls
    assert len(run.metrics()) == 2
    assert said.getvalue().count("the server is gone") == (at != "never")


def test_what_cannot_be_is_refused(monkeypatch):
    with pytest.raises(UserError, match="did you mean 'tensorboard'"):
        check_trackers(["tensorbord"])
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(UserError, match=r"needs wandb.*pip install 'lmjax\[track\]'"):
        check_trackers(["tensorboard", "wandb"])


def test_a_run_is_the_same_with_a_tracker_and_without(tmp_path, monkeypatch):
    (tmp_path / "text.txt").write_text("to be or not to be, that is the question\n" * 100)
    rows = {}
    for names in ((), ("tensorboard",)):
        config = config_with(*names)
        config.data.update(corpus="text", files=str(tmp_path / "text.txt"), batch_size=2, length=8)
        config.model.update(width=8, layers=1)
        config.training.duration = "4 steps"
        path = tmp_path / ("with" if names else "without")
        train(config, path, Console(quiet=True))
        rows[names] = [
            {name: value for name, value in logged.items() if name not in CLOCKS}
            for logged in RunDirectory(path).metrics()
        ]
    assert rows[()] == rows["tensorboard",]
    scalars = events_in(tmp_path / "with" / "trackers" / "tensorboard")
    losses = {r["step"]: r["loss"] for r in rows[()] if r["kind"] == "train"}
    assert losses == pytest.approx({step: scalars["train/loss", step] for step in losses})

    class Broken:
        package = "json"

        def __init__(self, folder, config):
            raise OSError("no server")

    monkeypatch.setitem(trackers.TRACKERS, "broken", Broken)
    config.logging.trackers = ("broken",)
    assert train(config, tmp_path / "third", Console(quiet=True))["splits"]
    assert "broken failed (no server)" in (tmp_path / "third" / "log.txt").read_text()
