"""With LMJAX_OFFLINE no network socket is opened: not to prepare, train, evaluate or sample."""

import os
import subprocess
import sys

from tests.torture.hostile_files import ROOT

CONFIG = """
from lmjax.config import base_config

def get_config():
    config = base_config("rnn")
    config.data.update(corpus="text", files={files!r}, batch_size=2, length=8)
    config.model.update(width=8, layers=1)
    config.training.duration = "4 steps"
    return config
"""
PROGRAM = """
import socket, sys

NETWORK = ("socket.connect", "socket.bind", "socket.getaddrinfo", "socket.gethostbyname",
           "socket.sendto", "urllib.Request")
opened = []

def hook(event, arguments):
    if event in NETWORK and not (arguments and getattr(arguments[0], "family", None) == AF_UNIX):
        opened.append(event)

AF_UNIX = socket.AF_UNIX
sys.addaudithook(hook)
from lmjax.cli.main import main
codes = [main(command.split("|")) for command in sys.argv[1:]]
print(codes, opened)
"""


def run(folder, *commands, **variables):
    environment = os.environ | {
        "LMJAX_CACHE_DIR": str(folder / "cache"),
        "LMJAX_DATA_DIR": str(folder / "data"),
        "JAX_PLATFORMS": "cpu",
        "JAX_COMPILATION_CACHE_DIR": str(ROOT / ".cache" / "jax"),
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *("|".join(command) for command in commands)],
        cwd=ROOT,
        env=environment | variables,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1], done.stderr


def test_a_model_is_trained_evaluated_and_sampled_without_a_socket(tmp_path):
    (tmp_path / "text.txt").write_text("a line of text\n" * 200)
    (tmp_path / "config.py").write_text(CONFIG.format(files=str(tmp_path / "text.txt")))
    workdir = f"--workdir={tmp_path / 'run'}"
    said, _ = run(
        tmp_path,
        ["train", f"--config={tmp_path / 'config.py'}", workdir],
        ["evaluate", workdir],
        ["sample", workdir, "--length=5"],
        LMJAX_OFFLINE="1",
    )
    assert said == "[0, 0, 0] []"


def test_what_would_have_to_be_fetched_is_refused_and_says_where_to_put_it(tmp_path):
    command = ["data", "prepare", "tiny_shakespeare"]
    said, error = run(tmp_path, command, LMJAX_OFFLINE="1")
    assert said == "[2] []"
    assert "LMJAX_OFFLINE is set" in error and str(tmp_path / "data" / "tiny_shakespeare") in error


def test_a_socket_would_be_seen(tmp_path):
    said, _ = run(
        tmp_path,
        ["data", "prepare", "tiny_shakespeare"],
        LMJAX_OFFLINE="0",
        https_proxy="http://127.0.0.1:9",
        HTTPS_PROXY="http://127.0.0.1:9",
    )
    assert said.startswith("[2]") and "socket.connect" in said
