"""From the name of a mixer and its options to the mixer."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from functools import partial
from types import MappingProxyType
from typing import Any

from lmjax.errors import UserError, nearest
from lmjax.mixers.contract import Mixer

MIXERS = {
    "attention": "lmjax.mixers.attention:Attention",
    "mamba": "lmjax.mixers.mamba:Mamba",
    "recurrent": "lmjax.mixers.recurrent_layer:RecurrentLayer",
    "sliding_window": "lmjax.mixers.sliding_window:SlidingWindowAttention",
}


def mixer_class(name: str, own: Mapping[str, type[Mixer]]) -> type[Mixer]:
    """One of MIXERS or of a model's `own`; raises UserError, with the nearest name, for others."""
    if name in own:
        return own[name]
    if name not in MIXERS:
        hint = nearest(name, {*MIXERS, *own})
        raise UserError(f"unknown mixer {name!r} in model.pattern: {hint}")
    module, attribute = MIXERS[name].split(":")
    return getattr(importlib.import_module(module), attribute)


def mixer_maker(
    name: str,
    options: Mapping[str, Any],
    given: Mapping[str, Any],
    own: Mapping[str, type[Mixer]] = MappingProxyType({}),
) -> Callable[..., Mixer]:
    """Makes the mixer of that name with its options, and of what is `given` the fields it has.

    `own` are the mixers of one model, which are in no registry.

    Raises UserError for an unknown option, one of another type, and a value that the mixer refuses.
    """
    mixer = mixer_class(name, own)
    found = {field.name: field for field in fields(mixer) if field.name not in ("parent", "name")}
    known = [option for option, field in found.items() if field.type in (bool, int, float, str)]
    known.remove("width")
    for option, value in options.items():
        if option not in known:
            raise UserError(f"mixer {name!r} has no option {option!r}: {nearest(option, known)}")
        kind = found[option].type
        if type(value) is not kind and not (kind is float and type(value) is int):
            raise UserError(
                f"option {option!r} of mixer {name!r} is {value!r}; give a value of type "
                f"{kind.__name__}"
            )
    values = {field: value for field, value in given.items() if field in found} | dict(options)
    missing = [n for n, field in found.items() if field.default is MISSING and n not in values]
    if missing:
        raise UserError(f"mixer {name!r} has no value for {missing[0]!r}; set it in model.mixers")
    make = partial(mixer, **values)
    make(parent=None)  # what its fields refuse is refused now
    return make
