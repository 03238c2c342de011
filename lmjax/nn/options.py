"""Options of a model's parts: what a configuration may set of the fields of a module, by name."""

import math
import reprlib
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from functools import partial
from typing import Any

import flax.linen as nn
from flax.core import FrozenDict, freeze

from lmjax.errors import UserError, nearest

PLAIN = (bool, int, float, str)  # the types of options
NO_OPTIONS = ("width", "input_width", "layer", "layers")  # what a model alone knows


def by_name(field: str, options: Any) -> FrozenDict:
    """The options that a field holds; raises UserError if they have no names."""
    if not hasattr(options, "items"):
        raise UserError(f"{field} is {options!r}; give options by name, as in {{'option': value}}")
    return freeze(dict(options))


def by_part(field: str, options: Any) -> FrozenDict:
    """The options by the name of what they are of; raises as `by_name`."""
    parts = by_name(field, options).items()
    return freeze({part: dict(by_name(f"{field}.{part}", given)) for part, given in parts})


def part_maker(
    kind: str,
    name: str,
    part: type[nn.Module] | partial,
    options: Mapping[str, Any],
    given: Mapping[str, Any],
    source: str,
) -> Callable[..., nn.Module]:
    """Makes the part with its options, and of what is `given` the fields that it has.

    `kind` and `name` are what an error calls it, `source` is the field of a configuration where its
    options stand. Raises UserError for an unknown option, one of another type or no number, and a
    value that the part refuses.
    """
    module, bound = (part.func, part.args) if isinstance(part, partial) else (part, ())
    found = {field.name: field for field in fields(module) if field.name not in ("parent", "name")}
    found = dict(list(found.items())[len(bound) :])
    plain = [option for option, field in found.items() if field.type in PLAIN]
    known = [option for option in plain if option not in NO_OPTIONS]
    for option, value in options.items():
        if option not in known:
            raise UserError(f"{kind} {name!r} has no option {option!r}: {nearest(option, known)}")
        wanted = found[option].type
        if type(value) is not wanted and not (wanted is float and type(value) is int):
            raise UserError(
                f"option {option!r} of {kind} {name!r} is {reprlib.repr(value)}; "
                f"give a value of type {wanted.__name__}"
            )
        if wanted is float and not math.isfinite(value):
            raise UserError(f"option {option!r} of {kind} {name!r} is {value}; give a number")
    values = {field: value for field, value in given.items() if field in found} | dict(options)
    missing = [n for n, field in found.items() if field.default is MISSING and n not in values]
    if missing:
        raise UserError(f"{kind} {name!r} has no value for {missing[0]!r}; set it in {source}")
    make = partial(part, **values)
    make(parent=None)  # what its fields refuse is refused now
    return make
