"""Trains for a while and watches what must not grow: memory, open files, compiled programs.

`python tests/torture/soak.py --minutes=60` prints the figures as JSON.
"""

import argparse
import contextlib
import io
import json
import os
import signal
import tempfile
import threading
import time
from pathlib import Path

import jax
import numpy as np
from rich.console import Console

from lmjax.config import base_config
from lmjax.errors import Stopped
from lmjax.training.run import train

WARM_UP = 0.25  # of the time, after which nothing may grow


def soak(seconds: float, workdir: Path, steps_between_saves: int = 200) -> dict:
    """Figures of a training of an LSTM with carried state that is stopped after `seconds`."""
    begin, compilations, samples = time.monotonic(), [], []

    def on_event(event: str, duration: float, **_):
        if event.endswith("backend_compile_duration"):
            compilations.append(time.monotonic() - begin)

    jax.monitoring.register_event_duration_secs_listener(on_event)

    def watch():
        while time.monotonic() - begin < seconds:
            samples.append((time.monotonic() - begin, *_resident_and_open()))
            time.sleep(max(0.2, seconds / 720))
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()
    with contextlib.suppress(Stopped):
        train(_config(workdir, steps_between_saves), workdir / "run", Console(file=io.StringIO()))
    time_N, megabytes_N, files_N = np.array(samples).T
    late_N = time_N > WARM_UP * seconds
    slope = np.polyfit(time_N[late_N] / 60, megabytes_N[late_N], 1)[0]
    rows = (workdir / "run" / "metrics.jsonl").read_text().splitlines()
    return {
        "seconds": round(time.monotonic() - begin),
        "steps": json.loads(rows[-1])["step"],
        "saves": json.loads(rows[-1])["step"] // steps_between_saves,
        "resident_megabytes_after_warm_up": round(float(megabytes_N[late_N][0]), 1),
        "resident_megabytes_at_the_end": round(float(megabytes_N[-1]), 1),
        "megabytes_a_minute": round(float(slope), 3),
        "compilations": len(compilations),
        "compilations_after_warm_up": sum(at > WARM_UP * seconds for at in compilations),
        "open_files_after_warm_up": int(files_N[late_N][0]),
        "open_files_at_the_end": int(files_N[-1]),
        "most_open_files": int(files_N.max()),
    }


def _config(workdir: Path, steps_between_saves: int):
    words = np.random.default_rng(0).choice(["the", "cat", "sat", "on", "a", "mat"], 40_000)
    text = workdir / "text.txt"
    text.write_text("\n".join(" ".join(part) for part in words.reshape(-1, 8)) + "\n")
    config = base_config("rnn")
    config.data.update(corpus="text", files=str(text), batch_size=16, length=32)
    config.model.update(width=64, layers=1)
    config.training.update(duration="100000000 steps", schedule="constant", clip_norm=1.0)
    config.evaluation.update(every="300 steps", rows=8)
    config.checkpoint.every = f"{steps_between_saves} steps"
    config.logging.every = "100 steps"
    return config


def _resident_and_open() -> tuple[float, int]:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20, len(os.listdir("/proc/self/fd"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--steps_between_saves", type=int, default=200)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = soak(60 * arguments.minutes, Path(folder), arguments.steps_between_saves)
        print(json.dumps(figures, indent=1))
