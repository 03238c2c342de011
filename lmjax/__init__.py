"""Every family of language model through one data path, one train step and one evaluator.

What is in PUBLIC is `lmjax.<name>`; importing it waits until it is used. See docs/python_api.md.
"""

import importlib

__version__ = "0.1.0"
PUBLIC = {
    "base_config": "lmjax.config",
    "load_experiment": "lmjax.api",
    "train": "lmjax.training.run",
    "load": "lmjax.api",
    "evaluate": "lmjax.api",
    "load_study": "lmjax.studies.study",
    "import_folder": "lmjax.interop.importing",
    "study": "lmjax.studies.conduct",
    "Beam": "lmjax.generation.beam",
    "UserError": "lmjax.errors",
}
__all__ = list(PUBLIC)


def __getattr__(name: str):
    if name not in PUBLIC:
        raise AttributeError(f"module 'lmjax' has no attribute {name!r}")
    return getattr(importlib.import_module(PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *PUBLIC])
