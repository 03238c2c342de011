"""What makes a start quick: a verb imports what it needs and compiles no program twice."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
HEAVY = ("matplotlib", "rouge_score", "scipy.optimize", "scipy.stats", "tensorflow_datasets")
VERB = f"""
import sys
from lmjax.cli.main import main
code = main(sys.argv[1:])
print(*{set(HEAVY)!r} & set(sys.modules), file=sys.stderr)
sys.exit(code)
"""
EXPERIMENT = """
from lmjax.config import base_config

def get_config():
    config = base_config("rnn")
    config.data.update(corpus="text", files={files!r}, batch_size=4, length=16)
    config.model.update(width=8, layers=1)
    config.training.duration = "2 steps"
    return config
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """With an experiment and a cache in which its corpus is prepared."""
    home = tmp_path_factory.mktemp("start")
    (home / "text.txt").write_text("The quick brown fox jumps over the lazy dog.\n" * 100)
    text = EXPERIMENT.format(files=str(home / "text.txt"))
    (home / "experiment.py").write_text(text)
    train = "train", f"--config={home}/experiment.py", f"--workdir={home}/first"
    run_verb(home, *train, imports="tensorflow_datasets")
    return home


def run_verb(home, *arguments, imports=""):
    """What the verb prints, in a process of its own that compiles for the cache of `home`.

    It imports nothing heavy but `imports`.
    """
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("JAX_")},
        "JAX_PLATFORMS": "cpu",
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "LMJAX_CACHE_DIR": str(home / "cache"),
        "PYTHONPATH": str(ROOT),
    }
    ended = subprocess.run(
        [sys.executable, "-c", VERB, *arguments], env=environment, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.strip() == imports
    return ended.stdout


def programs(home):
    return {path.name for path in (home / "cache" / "compiled").glob("*-cache")}


def test_a_run_compiles_nothing_that_another_one_has_compiled(home):
    before = programs(home)
    assert len(before) >= 3, "first state, step and predictions"
    config = f"--config={home}/experiment.py"
    out = run_verb(home, "train", config, f"--workdir={home}/second", "--config.seed=1")
    assert programs(home) == before
    (line,) = (line for line in out.splitlines() if line.startswith("started in"))
    assert "imports" in line
    assert line in (home / "second" / "log.txt").read_text()


@pytest.mark.parametrize("verb", ["sample", "evaluate"])
def test_a_verb_compiles_nothing_the_second_time(home, verb):
    arguments = [verb, f"--workdir={home}/first"]
    run_verb(home, *arguments)
    kept = programs(home)
    run_verb(home, *arguments)
    assert programs(home) == kept
    if verb == "sample":
        assert any(name.startswith("jit__draw") for name in kept)
