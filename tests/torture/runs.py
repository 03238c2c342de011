"""Runs to be tortured: what is trained, how it is started, and what it comes to."""

import fcntl
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

ROOT = Path(__file__).parent.parent.parent
KILLS = {  # of each family: an LSTM whose state is carried, attention on windows, ...
    "rnn": 50,
    "transformer": 50,
    **dict.fromkeys(
        ("seq2seq", "encoder_decoder", "classifier", "bert", "bilstm", "word_vectors"), 12
    ),
}
STEPS, SAVE_EVERY, LOG_EVERY, EVALUATE_EVERY = 60, 2, 3, 10
PATIENCE = 300  # seconds after which a run hangs
CLOCKS = (
    "seconds",
    "compile_seconds",
    "logged_seconds",
    "untimed_weight",
    "data_wait_seconds",
    "tokens_per_second",
)
CONFIG = f"""
from lmjax.config import base_config
from lmjax.model_defaults import sections_of

def get_config(family):
    config = base_config(family)
    config.data.update(corpus="text", files={{files!r}}, batch_size=4, length=16)
    if family in ("seq2seq", "encoder_decoder", "classifier"):
        config.data.update(corpus="parallel", files={{pairs!r}}, length=64, source_length=64)
    for model in sections_of(config.model).values():
        model.update(
            {{{{k: v for k, v in dict(width=16, dropout=0.1, layers=1).items() if k in model}}}}
        )
    config.training.update(duration="{STEPS} steps", clip_norm=1.0)
    config.evaluation.every = "{EVALUATE_EVERY} steps"
    config.checkpoint.every = "{SAVE_EVERY} steps"
    config.logging.every = "{LOG_EVERY} steps"
    config.execution.cpu_devices = 1
    if family in ("transformer", "bert"):
        config.model.context_length = 16
    return config
"""


@dataclass(frozen=True)
class Experiment:
    """A tiny training of each family; its runs are processes of their own."""

    folder: Path

    @classmethod
    def begun(cls, folder: Path) -> "Experiment":
        """The experiment in `folder`, written if it is not there yet."""
        text, config = folder / "text.txt", folder / "config.py"
        if not config.exists():
            words = np.random.default_rng(0).choice(["the", "cat", "sat", "on", "a", "mat"], 4000)
            lines = [" ".join(part) for part in words.reshape(-1, 8)]
            text.write_text("\n".join(lines) + "\n")
            pairs = folder / "pairs.tsv"  # of a sentence and its first letter
            pairs.write_text("".join(f"{i} {line}\t{line[0]}\n" for i, line in enumerate(lines)))
            config.write_text(CONFIG.format(files=str(text), pairs=str(pairs)))
        return cls(folder)

    def start(
        self,
        family: str,
        workdir: Path,
        *overrides: str,
        before: str = "",
        **environment: str,
    ) -> "Process":
        """Starts `lmjax train`, after the Python code `before` in the same process."""
        code = f"{before}\nfrom lmjax.cli.main import run\nrun()"
        arguments = ["train", f"--config={self.folder / 'config.py'}:{family}"]
        return Process(
            [sys.executable, *(["-c", code] if before else ["-m", "lmjax"]), *arguments]
            + [f"--workdir={workdir}", *overrides],
            {
                **os.environ,
                "JAX_PLATFORMS": "cpu",
                "JAX_COMPILATION_CACHE_DIR": str(ROOT / ".cache" / "jax"),
                "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
                "LMJAX_CACHE_DIR": str(self.folder / "cache"),
                "PYTHONPATH": str(ROOT),
                "PYTHONUTF8": "1",
                "XLA_FLAGS": "",  # compiled as it is for users
                **environment,
            },
        )

    def golden(self, family: str) -> "Outcome":
        """What the run that nothing happens to comes to."""
        workdir = self.folder / f"golden_{family}"
        with shared(self.folder):
            if not (workdir / "results.json").exists():
                self.start(family, workdir).succeed()
        return Outcome.of(workdir)


class Process:
    """A started command line; what it prints is kept in a file of no name."""

    def __init__(self, command: list[str], environment: dict[str, str]):
        self._output = open(os.memfd_create("output"), "w+b")  # noqa: SIM115
        self.started = time.monotonic()
        self._process = subprocess.Popen(
            command, env=environment, stdout=self._output, stderr=subprocess.STDOUT
        )
        self.pid = self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    @property
    def seconds(self) -> float:
        """Since it was started."""
        return time.monotonic() - self.started

    def send(self, number: int) -> None:
        self._process.send_signal(number)

    def wait(self) -> tuple[int, str]:
        """Its exit code, negative for a signal, and what it printed."""
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise
        self._output.seek(0)
        output = self._output.read().decode(errors="replace")
        self._output.close()
        return self._process.returncode, output

    def succeed(self) -> str:
        """Waits for an exit code of zero; returns what was printed."""
        code, output = self.wait()
        assert code == 0, f"exit {code}: {output[-3000:]}"
        return output

    def when(self, happened: Callable[[], bool], then: int = signal.SIGKILL) -> bool:
        """Sends a signal as soon as `happened`; returns whether it ran on until then."""
        while self.running:
            if happened():
                self.send(then)
                return True
            if self.seconds > PATIENCE:
                self.send(signal.SIGKILL)
                raise TimeoutError(f"process {self.pid} hangs")
            time.sleep(0.0005)
        return False


@dataclass(frozen=True)
class Outcome:
    """All of a finished run but what a clock says, and but what is kept of older steps."""

    digest: str  # of the arrays of the last checkpoint
    position: dict[str, Any]
    rows: list[dict[str, Any]]
    splits: dict[str, Any]
    training: dict[str, Any]

    @classmethod
    def of(cls, workdir: Path) -> "Outcome":
        results = json.loads((workdir / "results.json").read_text())
        last = workdir / "checkpoints" / str(committed_steps(workdir)[-1])
        about = json.loads((last / "about" / "metadata").read_text())
        return cls(
            digest=digest_of(last),
            position=_without_clocks(about["position"]),
            rows=[_without_clocks(row) for row in metrics(workdir)],
            splits=results["splits"],
            training=_without_clocks(results["training"]),
        )

    def differences(self, golden: "Outcome") -> list[str]:
        """The names of what is not as in `golden`, and metrics that stand there twice."""
        names = [field.name for field in fields(self)]
        differing = [name for name in names if getattr(self, name) != getattr(golden, name)]
        keys = [(row["kind"], row["step"]) for row in self.rows]
        return differing + (["a step of metrics twice"] if len(set(keys)) < len(keys) else [])


def digest_of(checkpoint: Path) -> str:
    """SHA-256 over name, dtype, shape and bytes of every array, read past the code under test."""
    digest = hashlib.sha256()
    with ocp.StandardCheckpointer() as reader:
        for part in ("params", "state"):
            tree = reader.restore(checkpoint / part)
            for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
                leaf = np.asarray(leaf)
                digest.update(
                    f"{part}{jax.tree_util.keystr(path)}{leaf.dtype}{leaf.shape}".encode()
                )
                digest.update(leaf.tobytes())
    return digest.hexdigest()


def committed_steps(workdir: Path) -> list[int]:
    """The steps whose checkpoints have a manifest, ascending."""
    manifests = (workdir / "checkpoints").glob("*/manifest.json")
    return sorted(int(path.parent.name) for path in manifests if path.parent.name.isdecimal())


def unfinished_steps(workdir: Path) -> list[int]:
    """The steps that are being saved or deleted."""
    folders = [path for path in (workdir / "checkpoints").glob("*") if path.name.isdecimal()]
    return [int(path.name) for path in folders if not (path / "manifest.json").exists()]


def metrics(workdir: Path) -> list[dict[str, Any]]:
    """The whole lines of the metrics, none if there is no file yet."""
    path = workdir / "metrics.jsonl"
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().split("\n")[:-1]]


def log(workdir: Path) -> str:
    path = workdir / "log.txt"
    return path.read_text() if path.exists() else ""


def refused(process: Process, *said: str) -> list[str]:
    """What is wrong with a run that should have ended with a message of one line."""
    code, output = process.wait()
    if code != 2 or "Traceback" in output or not all(part in output for part in said):
        return [f"exit {code}, not 2 with {said}: {output[-2000:]}"]
    return []


def goes_on(experiment: Experiment, workdir: Path, **options) -> list[str]:
    """What is wrong with the run after the same command was given again."""
    code, output = experiment.start("rnn", workdir, **options).wait()
    if code:
        return [f"exit {code}: {output[-2000:]}"]
    return [f"{what} differs" for what in Outcome.of(workdir).differences(experiment.golden("rnn"))]


def stopped(experiment: Experiment, workdir: Path, **options) -> None:
    """A run that was stopped in its middle."""
    process = experiment.start("rnn", workdir, **options)
    assert process.when(lambda: len(metrics(workdir)) >= 6, signal.SIGTERM)
    assert process.wait()[0] == 75


@contextmanager
def shared(folder: Path) -> Iterator[None]:
    """Holds `folder`, made if need be, against the other test processes."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".held", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _without_clocks(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in CLOCKS}
