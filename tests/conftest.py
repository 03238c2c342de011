"""Strict settings for every test, two virtual CPU devices, and where the real data lies."""

import gc
import itertools
import os
from pathlib import Path

import jax
import jaxlib
import pytest

ROOT = Path(__file__).parent.parent
MOST_MAPS = 20_000
TESTS = itertools.count()

# Tests run tiny programs once: most of their time is the compiler's, spent on making them fast.
# LMJAX_COMPILED_AS_USERS=1 tests what users run.
QUICK_COMPILATION = (
    "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true "
    "--xla_cpu_parallel_codegen_split_count=1"
)
if jaxlib.version.__version_info__ < (0, 11):  # which ends at a flag that it does not know
    QUICK_COMPILATION += " --xla_cpu_use_fusion_emitters=false"
if not os.environ.get("LMJAX_COMPILED_AS_USERS"):
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {QUICK_COMPILATION}".strip()

gc.set_threshold(50_000, 3, 3)  # a tenth of the time went into looking for cycles

jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_compilation_cache_dir", str(ROOT / ".cache" / "jax"))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)


@pytest.fixture(scope="session", autouse=True)
def cache_directory(tmp_path_factory):
    """Prepared corpora go where the test run is, not into the user's home."""
    os.environ["LMJAX_CACHE_DIR"] = str(tmp_path_factory.getbasetemp() / "lmjax_cache")


@pytest.fixture(autouse=True)
def lean_process():
    """After every tenth test, forgets programs if they are many, and seeks no cycles in the rest.

    Studies look for cycles after each run, which takes seconds among all that was traced before.
    A compiled program takes some of the 65,530 pieces of memory that Linux lets a process map;
    without a free one, XLA crashes.
    """
    yield
    if next(TESTS) % 10:
        return
    maps = Path("/proc/self/maps")
    if maps.exists() and maps.read_bytes().count(b"\n") > MOST_MAPS:
        gc.unfreeze()
        jax.clear_caches()
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of public data sets; tests that need it are skipped where it is not given."""
    folder = os.environ.get("LMJAX_DATA_DIR")
    if not folder:
        pytest.skip("LMJAX_DATA_DIR is not set: the public data sets are needed for this test")
    return Path(folder)


def pytest_terminal_summary(terminalreporter):
    """Prints the tables that tests recorded rows of: a title, the names of columns, the cells."""
    tables = {}
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            for name, value in report.user_properties:
                if name == "table":
                    title, header, cells = value
                    tables.setdefault(title, [header]).append(cells)
    for title, (header, *rows) in tables.items():
        terminalreporter.section(title)
        lines = [header, *sorted(rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        for first, *others in lines:
            cells = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
            terminalreporter.write_line("  ".join([first.ljust(widths[0]), *cells]))
