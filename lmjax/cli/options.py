"""Options of a configuration's parts on the command line: those given, and those left over.

A configuration names only the options that are not the defaults of their part, so which there are
is known by the part alone, which refuses the others once it is made.
"""

import ast
import re
from functools import reduce
from typing import Any

from ml_collections import ConfigDict

from lmjax.errors import UserError
from lmjax.model_defaults import OPTIONS, sections_of

BY_PART = ("mixers", "feed_forward_options")  # options by the name of what they are of
WORDS = {"true": True, "false": False}
# What the options without such a name are of.
CHOSEN_BY = {
    "output_options": "output",
    "cell_options": "cell",
    "first_options": "cell",
    "task_options": "task",
}


def options_of(config: ConfigDict, path: str) -> str:
    """The field that holds the option which `path` names, such as `model.mixers`; empty if none.

    Raises UserError if the field holds options, and `path` names none of them.
    """
    field = next((known for known in _fields(config) if path.startswith(f"{known}.")), "")
    if not field:
        return ""
    keys = path.removeprefix(f"{field}.").split(".")
    part = ["NAME"] if _name(field) in BY_PART else []
    if len(keys) != len(part) + 1 or not all(re.fullmatch(r"\w+", key) for key in keys):
        written = ".".join([field, *part, "OPTION"])
        raise UserError(f"{path!r} is no option; give --config.{written}=value")
    return field


def set_option(config: ConfigDict, field: str, path: str, value: Any) -> None:
    """Sets the option of `field` that `path` names, which there may be or not.

    Raises UserError where a part has no options by name.
    """
    *part, option = path.removeprefix(f"{field}.").split(".")
    options = _options(config, field)
    level = options.setdefault(part[0], {}) if part else options
    if not isinstance(level, dict):
        raise UserError(f"{field}.{part[0]} is {level!r}; give options by name")
    level[option] = value
    _replace(config, field, options)


def option_value(text: str) -> bool | int | float | str:
    """What Python reads `text` as, if that is plain; else the text."""
    if text.lower() in WORDS:
        return WORDS[text.lower()]
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text
    return value if isinstance(value, bool | int | float | str) else text


def chosen_parts(config: ConfigDict) -> dict[str, tuple[str, ...]]:
    """By each field of options, the names of the parts that its options are of."""
    return {field: _chosen(config, field) for field in _fields(config)}


def drop_left_over(config: ConfigDict, before: dict[str, tuple[str, ...]]) -> list[str]:
    """Drops options of parts that were chosen `before`, and are no more; a line about each field.

    Options of parts that were not chosen before either are left, and will be refused.
    """
    lines = []
    for field, names in before.items():
        options, now = _options(config, field), _chosen(config, field)
        if _name(field) in BY_PART:
            left_over = [name for name in options if name in names and name not in now]
        else:
            left_over = list(options) if now != names else []
        if left_over:
            kept = {name: value for name, value in options.items() if name not in left_over}
            _replace(config, field, kept)
            dropped = ", ".join(f"{field}.{name}" for name in left_over)
            others = ", ".join(dict.fromkeys(name for name in names if name not in now))
            lines.append(f"no longer chosen: {others}; left out of the options: {dropped}")
    return lines


def _fields(config: ConfigDict) -> list[str]:
    """The fields that hold options, by their full names; those of a backbone before its model's."""
    found = [
        f"{section}.{name}"
        for section, model in reversed(sections_of(config.model).items())
        for name in OPTIONS
        if isinstance(model.get(name), ConfigDict)
    ]
    return [*found, "data.task_options"]


def _name(field: str) -> str:
    return field.rpartition(".")[2]


def _section(config: ConfigDict, field: str) -> ConfigDict:
    return reduce(ConfigDict.get, field.split(".")[:-1], config)


def _chosen(config: ConfigDict, field: str) -> tuple[str, ...]:
    section, name = _section(config, field), _name(field)
    if name == "mixers":
        return tuple(section.get("pattern", ()))
    if name == "feed_forward_options":
        return tuple(section.get("feed_forwards", ())) or (section.get("feed_forward", ""),)
    return (section.get(CHOSEN_BY[name], ""),)


def _options(config: ConfigDict, field: str) -> dict[str, Any]:
    return _section(config, field)[_name(field)].to_dict()


def _replace(config: ConfigDict, field: str, options: dict[str, Any]) -> None:
    _section(config, field)[_name(field)] = ConfigDict(options)
