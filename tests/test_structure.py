"""The house: imports go down its rooms, never up; it is quick to enter; nothing else is needed."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "lmjax"
# From the roof to the ground.
ROOMS = (
    "cli",
    "studies",
    "checks",
    "api",
    "trained",
    "interop",
    "training",
    "checkpoints",
    "tasks",
    "evaluation",
    "generation",
    "objectives",
    "models",
    "mixers",
    "nn",
    "data",
    "runs",
    "config",
    "model_defaults",
    "objective_defaults",
    "own_models",
    "errors",
)
FILES = sorted(PACKAGE.rglob("*.py"))


def imported_modules(path):
    """The modules of this package that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def room_of(parts):
    return parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down(path):
    here = room_of(path.relative_to(PACKAGE).parts)
    for module in imported_modules(path):
        parts = module.split(".")
        if parts[0] != "lmjax" or len(parts) == 1 or here in ("__init__", "__main__"):
            continue
        assert parts[1] in ROOMS, f"{module} is in no room"
        assert ROOMS.index(here) <= ROOMS.index(parts[1]), f"{path} imports upwards: {module}"


def test_modules_import_each_other_in_no_circle():
    names = {
        ".".join(("lmjax", *path.relative_to(PACKAGE).with_suffix("").parts)) for path in FILES
    }
    graph = {
        ".".join(("lmjax", *path.relative_to(PACKAGE).with_suffix("").parts)): [
            module for module in imported_modules(path) if module in names
        ]
        for path in FILES
    }
    done, above = set(), []

    def visit(name):
        assert name not in above, f"a circle: {above[above.index(name) :]}"
        if name in done:
            return
        above.append(name)
        for other in graph[name]:
            visit(other)
        done.add(above.pop())

    for name in graph:
        visit(name)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_are_short(path):
    assert len(path.read_text().splitlines()) <= 500


def test_dropout_is_the_one_whose_rate_a_replica_may_set():
    users = [path.name for path in FILES if "nn.Dropout" in path.read_text()]
    assert users == ["dropout.py"]


def test_help_imports_nothing_but_the_standard_library():
    code = (
        "import sys; before = set(sys.modules);"
        "import lmjax; from lmjax.cli.main import main; main(['--help']);"
        "imported = {name.partition('.')[0] for name in set(sys.modules) - before};"
        "imported -= {'lmjax', *sys.stdlib_module_names}; assert not imported, imported"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_every_module_imports_without_tensorflow_torch_and_transformers():
    modules = [
        ".".join(("lmjax", *path.relative_to(PACKAGE).with_suffix("").parts))
        for path in FILES
        if path.stem not in ("__init__", "__main__")
    ]
    code = (
        "import sys, importlib\n"
        "class Block:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('tensorflow', 'torch', 'transformers'):\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Block())\n"
        f"for name in {modules!r}: importlib.import_module(name)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
