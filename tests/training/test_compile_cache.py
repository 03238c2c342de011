"""Where compiled programs are kept, and that nothing is said where they can't be."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
COMPILE = """
import jax
from lmjax.training.compile_cache import keep_compiled_programs
keep_compiled_programs()
jax.jit(lambda x: x + 1)(1.0)
"""


def compile_something(cache, before="", **environment):
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("JAX_")},
        "JAX_PLATFORMS": "cpu",
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "LMJAX_CACHE_DIR": str(cache),
        "PYTHONPATH": str(ROOT),
        **environment,
    }
    done = subprocess.run(
        [sys.executable, "-c", before + COMPILE], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout + done.stderr == ""


def test_programs_are_kept_for_the_next_process(tmp_path):
    compile_something(tmp_path)
    kept = sorted(path.name for path in (tmp_path / "compiled").glob("*-cache"))
    assert kept
    compile_something(tmp_path)
    assert sorted(path.name for path in (tmp_path / "compiled").glob("*-cache")) == kept


def test_a_configured_folder_is_the_users_choice(tmp_path):
    compile_something(tmp_path, JAX_COMPILATION_CACHE_DIR=str(tmp_path / "own"))
    assert list((tmp_path / "own").glob("*-cache")) and not (tmp_path / "compiled").exists()


def test_nothing_is_said_where_they_cannot_be_kept(tmp_path):
    (tmp_path / "file").write_text("")
    compile_something(tmp_path / "file")
    full = "from jax._src.lru_cache import LRUCache\n"
    full += "def fail(*_): raise OSError(28, 'No space left on device')\nLRUCache.put = fail\n"
    compile_something(tmp_path / "full", before=full)
    assert not list((tmp_path / "full" / "compiled").glob("*-cache"))
