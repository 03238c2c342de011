"""The corpus `python_docs`: English text that every CPython ships, read but never executed."""

import ast
import os
import sys
import sysconfig
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from lmjax.data.documents import Document, Splits, split_by_name
from lmjax.data.overlap import without_shared_paragraphs
from lmjax.errors import UserError

LEAST_BYTES = 2_000_000
SKIPPED_FOLDERS = {
    "__pycache__",
    "dist-packages",
    "idlelib",
    "lib2to3",
    "pydoc_data",
    "site-packages",
    "test",
    "tests",
    "turtledemo",
}
DOCUMENTED = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def python_identity() -> list[str]:
    """What the text depends on: the build of the interpreter and where its library lies."""
    return [sys.implementation.name, sys.version, sysconfig.get_path("stdlib")]


def read_python_docs() -> tuple[Splits, Counter]:
    """One document for each topic of `help()` and each module that has docstrings.

    A paragraph that repeats in another split is left out. The exact text differs between versions
    of CPython. Raises UserError if it is under 2 MB, which means that the sources of the standard
    library are not installed.
    """
    library = Path(sysconfig.get_path("stdlib"))
    report = Counter()
    documents = [*_topics(library), *_modules(library, report)]
    splits, shared = without_shared_paragraphs(split_by_name(documents))
    report["paragraphs_left_out"] = shared
    report["bytes"] = sum(
        len(document.text.encode()) for part in splits.values() for document in part
    )
    if report["bytes"] < LEAST_BYTES:
        raise UserError(
            f"{library} holds only {report['bytes']:,} bytes of documentation; "
            "install the standard library's .py sources, or choose another data.corpus"
        )
    return splits, report


def _topics(library: Path) -> Iterator[Document]:
    path = library / "pydoc_data" / "topics.py"
    if not path.is_file():
        return
    for statement in ast.parse(path.read_bytes()).body:
        if isinstance(statement, ast.Assign | ast.AnnAssign) and isinstance(
            statement.value, ast.Dict
        ):
            for name, text in sorted(ast.literal_eval(statement.value).items()):
                yield Document(f"topics/{name}", text.strip() + "\n")


def _modules(library: Path, report: Counter) -> Iterator[Document]:
    for path in _sources(library):
        try:
            with warnings.catch_warnings(action="ignore"):
                module = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError):
            report["unreadable_files"] += 1
            continue
        paragraphs = list(_docstrings(module))
        if paragraphs:
            name = path.relative_to(library).as_posix()
            yield Document(name, "\n\n".join([name, *paragraphs]) + "\n")


def _sources(library: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(library):
        folders[:] = sorted(set(folders) - SKIPPED_FOLDERS)
        yield from (Path(folder, file) for file in sorted(files) if file.endswith(".py"))


def _docstrings(node: ast.Module | ast.ClassDef | ast.FunctionDef) -> Iterator[str]:
    """The docstrings of a module in the order of its source, each under its definition's head."""
    text = (ast.get_docstring(node) or "").strip()
    if text:
        yield f"{_head(node)}\n{text}" if isinstance(node, DOCUMENTED) else text
    for child in node.body:
        if isinstance(child, DOCUMENTED):
            yield from _docstrings(child)


def _head(node: ast.ClassDef | ast.FunctionDef) -> str:
    if isinstance(node, ast.ClassDef):
        return f"class {node.name}:"
    return f"def {node.name}({ast.unparse(node.args)}):"
