"""Texts that are given in Python, one or several, of which each is seen to be one."""

from collections.abc import Iterable, Mapping
from typing import Any

from lmjax.errors import UserError


def texts_of(given: Any, what: str = "text", *, of_pairs: str = "") -> list[str]:
    """One text, or each of several, as a list; raises as `each_of` and `checked_text` do."""
    return [
        checked_text(each, f"{what} {number}", of_pairs=of_pairs)
        for number, each in enumerate(each_of(given, what), start=1)
    ]


def each_of(given: Any, what: str = "text") -> Iterable[Any]:
    """What to go through; of a text itself alone. Raises UserError for what holds no texts."""
    if isinstance(given, str):
        return [given]
    if isinstance(given, bytes | Mapping) or not isinstance(given, Iterable):
        raise UserError(f"{_type_of(given)} is no {what}; give a str, or a list of them")
    return given


def checked_text(given: Any, name: str, *, of_pairs: str = "") -> str:
    """The same; raises UserError for what is none, which for two says what to do `of_pairs`."""
    if isinstance(given, str):
        return given
    cure = of_pairs if of_pairs and isinstance(given, tuple | list) else "give each as a str"
    raise UserError(f"{name} is {_type_of(given)}, no text; {cure}")


def _type_of(given: Any) -> str:
    if given is None:
        return "None"
    name = type(given).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"
