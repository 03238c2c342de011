"""Models outside the package: `FILE.py:Class` or `module:Class`, and what their classes say.

A file is known by the SHA-256 of its content and is executed once for each; what was executed is
what a run keeps. A module is known by its name only. To execute either is the caller's decision:
see `lmjax.models.registry`.
"""

import importlib
import importlib.machinery
import importlib.util
import re
import reprlib
import sys
from dataclasses import MISSING, fields, is_dataclass
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any

from lmjax.errors import UserError, described, failure_of_file, nearest

CONTRACT = "lmjax.models.contract.LanguageModel"
SOURCE = "source_sha256"  # the field of `config.model` that says which content of a file is meant
DIGEST = "[0-9a-f]{64}"
PLAIN = (bool, int, float, str)  # types of the values that a configuration keeps

# Digests of the models that the user of this process named, without those that only a run
# directory names.
_given: set[str] = set()
_contents: dict[str, bytes] = {}  # of the files read, by digest
_modules: dict[str, ModuleType] = {}  # by digest, or by name


def is_own(name: str) -> bool:
    """Whether the name of a model points outside the package."""
    return ":" in name


def file_of(name: str) -> Path | None:
    """The file that a name points to; None if it points to a module."""
    source, _ = _split(name)
    return Path(source).expanduser() if source.endswith(".py") else None


def digest_of(name: str) -> str:
    """The SHA-256 of the file's present content; of a module, that of its name."""
    file = file_of(name)
    if file is None:
        return sha256(_split(name)[0].encode()).hexdigest()
    try:
        content = file.read_bytes()
    except OSError as error:
        raise UserError(
            f"model.name is {name!r}, but {file} cannot be read ({error.strerror}); "
            "give the path of the file that has the class"
        ) from error
    digest = sha256(content).hexdigest()
    _contents[digest] = content
    return digest


def meant_digest(name: str, source: object = None) -> str:
    """The digest of the code that is meant: `source`, or None for a file as it is now.

    `source` is what a configuration says. Of a module it says nothing: its name is what counts.
    Raises UserError if it is no SHA-256.
    """
    if source is not None and not (isinstance(source, str) and re.fullmatch(DIGEST, source)):
        raise UserError(
            f"model.{SOURCE} is {reprlib.repr(source)}, not the 64 hexadecimal digits of a "
            "SHA-256; restore config.json"
        )
    return digest_of(name) if source is None or file_of(name) is None else source


def was_given(digest: str) -> bool:
    """Whether whoever started this process named that code as a model."""
    return digest in _given


def content_of(name: str, digest: str) -> bytes:
    """The content of the file that has this digest; raises UserError if it is another by now."""
    if digest not in _contents and digest_of(name) != digest:
        raise UserError(
            f"{file_of(name)} has changed since it was named as the model; restore it, or give "
            "another --workdir and the file as it is now"
        )
    return _contents[digest]


def own_class(name: str, digest: str) -> type:
    """Executes the file or module, unless it has been, and returns the class.

    Raises UserError, in one line, for a file that cannot be run or has changed, and for a class
    that is not there, is no LanguageModel or has a field whose value nothing gives.
    """
    source, class_name = _split(name)
    if digest not in _modules:
        file = file_of(name)
        run = (lambda: _import(source)) if file is None else lambda: _execute(file, name, digest)
        _modules[digest] = run()
    found = getattr(_modules[digest], class_name, None)
    if not isinstance(found, type):
        named = vars(_modules[digest]).items()
        classes = [key for key, value in named if _contract(value) not in (None, value)]
        raise UserError(f"{source} has no class {class_name!r}: {nearest(class_name, classes)}")
    contract = _contract(found)
    if contract is None or found is contract:
        raise UserError(f"{name} is no model: derive the class from {CONTRACT}")
    if found.derived_fields is contract.derived_fields:
        for field in _configurable(found):
            if field.default is MISSING:
                raise UserError(
                    f"the field {field.name!r} of {name} has no default; give it one, as in "
                    f"'{field.name}: int = 64', or a value in derived_fields"
                )
    return found


def own_config(name: str) -> dict[str, Any]:
    """The fields of `config.model` for a class outside the package, which is executed for it.

    They are the fields of the dataclass with a default that is a number, text, true or false, or a
    tuple of them; others stay at their default.
    """
    digest = digest_of(name)
    _given.add(digest)
    found = own_class(name, digest)
    source = {} if file_of(name) is None else {SOURCE: digest}
    return {"name": name, **source, **configured_defaults(found)}


def configured_defaults(found: type) -> dict[str, Any]:
    """The defaults of those fields of a class that a configuration keeps."""
    defaults = {field.name: field.default for field in _configurable(found)}
    return {name: value for name, value in defaults.items() if _is_plain(value)}


def kept_name(name: str) -> str:
    """The name that a run keeps: of its own copy of the file, beside its configuration."""
    file = file_of(name)
    return name if file is None else f"{file.name}:{_split(name)[1]}"


def _split(name: str) -> tuple[str, str]:
    source, _, class_name = name.rpartition(":")
    if not source or not class_name.isidentifier():
        raise UserError(
            f"model.name is {name!r}; write 'FILE.py:Class' or 'module:Class' for a model of your "
            "own"
        )
    return source, class_name


def _configurable(found: type) -> list:
    assert is_dataclass(found)  # as every Flax module is
    derived = ("parent", "name", "vocabulary_size")
    return [field for field in fields(found) if field.init and field.name not in derived]


def _is_plain(value: Any) -> bool:
    return isinstance(value, PLAIN) or isinstance(value, tuple) and all(map(_is_plain, value))


def _contract(value: Any) -> type | None:
    """The contract among the classes that `value` derives from; this room stands below its."""
    above = value.__mro__ if isinstance(value, type) else ()
    return next((c for c in above if f"{c.__module__}.{c.__qualname__}" == CONTRACT), None)


def _import(module: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise UserError(
            f"the model's module {module!r} cannot be imported: {error}; install it, or add its "
            "folder to PYTHONPATH"
        ) from error
    except (Exception, SystemExit) as error:
        raise UserError(f"the model's module {module!r} failed: {described(error)}") from error


class _Loader(importlib.machinery.SourceFileLoader):
    """Executes the bytes that it was given: no file that changes meanwhile, no cached one."""

    def __init__(self, name: str, path: str, content: bytes):
        super().__init__(name, path)
        self._content = content

    def get_code(self, fullname):
        return self.source_to_code(self._content, self.path)


def _execute(file: Path, name: str, digest: str) -> ModuleType:
    module_name = f"own_model_{digest[:16]}"
    loader = _Loader(module_name, str(file), content_of(name, digest))
    specification = importlib.util.spec_from_file_location(module_name, file, loader=loader)
    module = importlib.util.module_from_spec(specification)
    sys.modules[module_name] = module  # where dataclasses look up the names in annotations
    try:
        loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[module_name]
        raise UserError(failure_of_file(file, error)) from error
    return module
