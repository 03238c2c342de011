"""Experiment and study files: Python that is executed, for what one of its functions returns."""

import importlib.util
import inspect
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lmjax.errors import UserError, failure_of_file

HINTS = {  # what a file without the function is for
    "study": "an experiment runs with lmjax train --config={}",
    "config": "a study runs with lmjax study --study={}",
}


def load_from_file(reference: str | Path, what: str, expected: type) -> Any:
    """What `get_study` or `get_config` (`what`) returns, of the Python file `FILE.py[:argument]`.

    The file is executed, and its function called with the argument. Raises UserError if the file is
    missing or fails, has no such function, or returns something else than what is `expected`.
    """
    path, colon, argument = str(reference).partition(":")
    if not Path(path).is_file():
        raise UserError(
            f"no {what} file {path}; give the path of a Python file, FILE.py[:argument]"
        )
    specification = importlib.util.spec_from_file_location(f"{what}_file", path)
    if specification is None:
        raise UserError(f"{path} is no Python file; give FILE.py[:argument]")
    module = importlib.util.module_from_spec(specification)
    with _failures_told(path):
        specification.loader.exec_module(module)
    function = getattr(module, f"get_{what}", None)
    if function is None:
        raise UserError(f"{path} has no get_{what}(argument); {HINTS[what].format(path)}")
    with _failures_told(path):
        needed = any(
            parameter.default is parameter.empty
            for parameter in inspect.signature(function).parameters.values()
        )
        returned = function(*([argument] if colon or needed else []))
    if not isinstance(returned, expected):
        kind = type(returned).__name__
        raise UserError(f"get_{what} of {path} returned {kind}, not a {expected.__name__}")
    return returned


@contextmanager
def _failures_told(path: str):
    """Raises UserError, with the line of the file at `path`, for what fails within."""
    try:
        yield
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        raise UserError(f"{failure_of_file(path, error)}; mend the file") from error
