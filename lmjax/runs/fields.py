"""Values that fields may have: of a configuration, and of what a file says that it holds."""

import reprlib
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from lmjax.config import LATER, base_config, lock, model_config, objective_config
from lmjax.errors import UserError
from lmjax.model_defaults import BACKBONE, sections_of
from lmjax.own_models import file_of, is_own
from lmjax.runs.files import inside, plain, read_json
from lmjax.runs.ranges import check_ranges

READ_BACK = (
    "seed",
    "model",
    "objective",
    "data",
    "evaluation",
    "execution",
)  # what a trained model needs
SHOWN = 80  # characters of a name
SIGNED = ("forget_bias", "lowest", "highest")  # fields of models that may be below zero

Expected = Callable[[Any], bool] | Mapping | list


def is_text(value: Any) -> bool:
    return isinstance(value, str)


def is_text_or_nothing(value: Any) -> bool:
    return value is None or is_text(value)


def is_true_or_false(value: Any) -> bool:
    return isinstance(value, bool)


def is_number(value: Any) -> bool:
    numeric = isinstance(value, int | float) and not isinstance(value, bool)
    return numeric and abs(value) <= sys.float_info.max


def is_number_or_nothing(value: Any) -> bool:
    return value is None or is_number(value)


def is_positive_number(value: Any) -> bool:
    return is_number(value) and value > 0


def is_integer(value: Any) -> bool:
    return is_number(value) and isinstance(value, int)


def is_count(value: Any) -> bool:
    return is_integer(value) and value >= 0


def check_fields(
    value: Any,
    expected: Expected,
    source: object,
    name: str = "",
    cure: str = "restore the file or delete it",
) -> None:
    """Raises UserError, naming `source` and the field, if `value` is not what is `expected`.

    That is a predicate; for a list, one of what is expected of each item; for an object, a mapping
    from the fields that it must have, `...` for each that there is, to what is expected of them.
    What is missing counts as None.
    """
    if isinstance(expected, Mapping):
        if not isinstance(value, dict):
            raise _unexpected(value, "object", source, name, cure)
        for field, inner in expected.items():
            for key in list(value) if field is ... else [field]:
                inner_name = f"{name}.{key}".removeprefix(".")
                check_fields(value.get(key), inner, source, inner_name, cure)
    elif isinstance(expected, list):
        if not isinstance(value, list | tuple):
            raise _unexpected(value, "list", source, name, cure)
        for item in value:
            check_fields(item, expected[0], source, f"what is in {name}", cure)
    elif not expected(value):
        kind = expected.__name__.removeprefix("is_").replace("_", " ")
        raise _unexpected(value, kind, source, name, cure)


def _unexpected(value: Any, kind: str, source: object, name: str, cure: str) -> UserError:
    return UserError(
        f"{source}: {repr(name[:SHOWN]) if name else 'all of it'} should be: {kind}, not "
        f"{reprlib.repr(value)}; {cure}"
    )


def read_config(path: Path) -> ConfigDict:
    """The locked configuration in a run's config.json; it names the run's copies of files, those of
    a model and of a tokenizer.

    Nothing that it names is executed. Raises UserError if a field that a trained model is used by
    is missing or not of its type.
    """
    fields = read_json(path)
    named = {"model": {"name": is_text}, "objective": {"name": is_text}, "data": {}}
    check_fields(fields, named, path)
    try:
        known = plain(base_config().to_dict() | {"model": _known_fields(fields["model"])})
        known["objective"] = objective_config(fields["objective"]["name"]).to_dict()
        for section in sections_of(fields["model"]).values():
            if is_own(section["name"]) and (file := file_of(section["name"])):
                copy = inside(path.parent, str(file))
                section["name"] = f"{copy}:{section['name'].rpartition(':')[2]}"
        if "file" in (fields["data"].get("tokenizer"), fields["data"].get("source_tokenizer")):
            fields["data"]["tokenizer_file"] = str(path.parent / "tokenizer.json")
        known_sections = known | sections_of(known["model"])
        for section, given in (fields | sections_of(fields["model"])).items():
            for name, value in LATER.items():
                of, field = name.split(".")
                if of == section.split(".")[0] and field in known_sections.get(section, {}):
                    given.setdefault(field, value)
        config = lock(ConfigDict(_with_tuples(fields)))
        _check_possible(config)
    except (UserError, AttributeError, KeyError, ValueError) as error:
        raise UserError(f"{path} is no configuration ({error}); restore it or delete it") from error
    check_fields(fields, {name: expected_like(known[name]) for name in READ_BACK}, path)
    return config


def check_values(config: ConfigDict) -> None:
    """Raises UserError, naming the field, for a value that its field cannot have.

    That is one of another type than the default, a number which is not finite or out of its range,
    and text with a NUL.
    """
    _check_possible(config)
    known = base_config().to_dict() | {"model": _known_fields(config.model)}
    known["objective"] = objective_config(config.objective.name).to_dict()
    given = config.to_dict()
    expected = expected_like({key: known[key] for key in known.keys() & given.keys()})
    check_fields(given, expected, "the configuration", cure="give such a value")
    check_ranges(config)


def _check_possible(config: ConfigDict) -> None:
    """Refuses what no field can have; those below zero may be a seed's, a bias's or a model's own.

    A seed below zero is refused by its range.
    """
    signed = ["seed"]
    for section, model in sections_of(config.model).items():
        fields = ("",) if is_own(model.name) else SIGNED
        signed += [f"{section}.{field}" for field in fields]
    for name, value in leaves(config.to_dict()):
        if is_text(value) and "\0" in value:
            raise UserError(f"{name} has a NUL character in it; leave it out")
        if isinstance(value, int | float):
            if not (is_true_or_false(value) or is_number(value)):
                raise UserError(f"{name} is {value}; give a finite number")
            if value < 0 and not name.startswith(tuple(signed)):
                raise UserError(f"{name} is {value}; it cannot be negative")


def _known_fields(model: Mapping[str, Any] | ConfigDict) -> dict[str, Any]:
    """The default fields of a model, and of its backbone, where their names are families'.

    What fields a model of one's own has is known where its class is executed.
    """
    if is_own(model["name"]):
        return {}
    known = model_config(model["name"]).to_dict()
    if BACKBONE in known:
        known[BACKBONE] = _known_fields(model[BACKBONE])
    return known


def leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Each value that is neither a mapping nor a sequence, by its name such as `model.width`."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from leaves(item, (*path, str(key)))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from leaves(item, path)
    else:
        yield ".".join(path), value


def expected_like(default: Any) -> Expected:
    """What is expected of a field with this default: its type."""
    if isinstance(default, dict):
        return {name: expected_like(value) for name, value in default.items()}
    if isinstance(default, list | tuple):
        return [expected_like(default[0]) if default else is_text]
    by_type = {bool: is_true_or_false, int: is_integer, float: is_number, str: is_text}
    return by_type[type(default)]


def _with_tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_tuples(item) for key, item in value.items()}
    return tuple(map(_with_tuples, value)) if isinstance(value, list) else value
