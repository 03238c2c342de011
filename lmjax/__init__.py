"""Every family of language model through one data path, one train step and one evaluator."""

__version__ = "0.1.0"
__all__ = ["load"]


def __getattr__(name: str):
    """`lmjax.load` without importing jax before it is asked for."""
    if name == "load":
        from lmjax.api import load

        return load
    raise AttributeError(f"module 'lmjax' has no attribute {name!r}")
