"""No text becomes a program: what the package imports and calls, read from its source."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "lmjax"
FILES = sorted(PACKAGE.rglob("*.py"))
# Of a fixed table of names, and of the file or module that the user names: an experiment's, a
# study's, a model's.
# That a configuration found in a run directory is no such user, tests/test_own_models.py shows.
LOADERS = {
    ("cli/main.py", "import_module"),
    ("data/synthetic/registry.py", "import_module"),
    ("mixers/registry.py", "import_module"),
    ("models/registry.py", "import_module"),
    ("objectives/registry.py", "import_module"),
    ("tasks/registry.py", "import_module"),
    ("own_models.py", "exec_module"),
    ("own_models.py", "import_module"),
    ("__init__.py", "import_module"),
    ("runs/python_file.py", "exec_module"),
    ("runs/trackers.py", "import_module"),
}
UNSAFE_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "joblib", "code"}
UNSAFE_CALLS = {
    "eval",
    "exec",
    "compile",
    "__import__",
    "os.system",
    "os.popen",
    "pty.spawn",
    "yaml.load",
    "yaml.unsafe_load",
    "yaml.full_load",
    "torch.load",
    "subprocess.getoutput",
    "subprocess.getstatusoutput",
}
UNSAFE_ARGUMENTS = {"shell", "allow_pickle"}


def unsafe(source: str, file: str = "") -> list[str]:
    """What of a file's source would execute text, or unpickle it."""
    found = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                found += [n.name for n in names if n.name.split(".")[0] in UNSAFE_MODULES]
            case ast.ImportFrom(module=str(module), names=names):
                found += [module] if module.split(".")[0] in UNSAFE_MODULES else []
                whole = [f"{module}.{n.name}" for n in names]
                found += [name for name in whole if name in UNSAFE_CALLS]
            case ast.Call(func=function, keywords=keywords):
                name = ast.unparse(function)
                last = name.rpartition(".")[2]
                is_loader = last in ("import_module", "exec_module", "run_path", "run_module")
                if name in UNSAFE_CALLS or is_loader and (file, last) not in LOADERS:
                    found.append(name)
                for keyword in keywords:
                    is_off = isinstance(keyword.value, ast.Constant) and not keyword.value.value
                    if keyword.arg in UNSAFE_ARGUMENTS and not is_off:
                        found.append(f"{name}({keyword.arg}=...)")
                is_closed = any(keyword.arg == "allow_pickle" for keyword in keywords)
                if name in ("np.load", "numpy.load") and not is_closed:
                    found.append(f"{name} without allow_pickle=False")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_executes_text(path):
    assert unsafe(path.read_text(), path.relative_to(PACKAGE).as_posix()) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "import marshal as m",
        "from dill import loads",
        "from os import system",
        "eval('1')",
        "exec(text)",
        "compile(text, '', 'exec')",
        "__import__('os')",
        "import os; os.system('ls')",
        "os.popen('ls')",
        "yaml.load(text)",
        "subprocess.run('ls', shell=True)",
        "subprocess.run('ls', shell=flag)",
        "np.load(path, allow_pickle=True)",
        "np.load(path)",
        "importlib.import_module(name)",
        "spec.loader.exec_module(module)",
    ],
)
def test_what_executes_text_is_found(source):
    assert unsafe(source)


@pytest.mark.parametrize(
    "source",
    ["re.compile('a')", "step.lower(x).compile()", "np.load(path, allow_pickle=False)"],
)
def test_what_does_not_is_not(source):
    assert not unsafe(source)
