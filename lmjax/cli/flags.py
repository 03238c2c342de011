"""What the verbs share: flags with an example in their help, and configurations from files."""

import ast
import re
import sys
from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any

from absl import flags
from ml_collections import ConfigDict, config_flags

from lmjax.cli.options import (
    chosen_parts,
    drop_left_over,
    option_value,
    options_of,
    set_option,
)
from lmjax.config import NAMED, choose, lock
from lmjax.errors import UserError, nearest
from lmjax.runs.fields import check_values
from lmjax.runs.python_file import load_from_file
from lmjax.runs.run_directory import RunDirectory

LONGEST_MESSAGE = 400  # characters of one that repeats what was given

Define = Callable[[flags.FlagValues], None]


def parse(
    verb: str,
    text: str,
    example: str,
    define: Define,
    arguments: list[str],
    *,
    bare: str = "",
) -> flags.FlagValues | None:
    """The flags that `define` defines, with the values of `arguments`; None after `--help`.

    The value of the flag `bare` may be given without its name, before or after the others.

    Raises UserError for a flag or a configuration key that does not exist, a value that does not
    fit, or a configuration file that cannot be run.
    """
    values = flags.FlagValues()
    define(values)
    values.set_gnu_getopt(bool(bare))
    if {"--help", "-h"} & set(arguments):
        print(f"lmjax {verb}: {text}\n\nexample: {example}\n\nflags:")
        for name in values:
            default = "" if values[name].default is None else f" (default: {values[name].default})"
            print(f"  --{name}: {values[name].help}{default}")
        return None
    saved = sys.argv
    overrides, others = _split(arguments) if "config" in values else ([], arguments)
    try:
        sys.argv = ["lmjax", *others]
        rest = values(sys.argv)[1:]
        if bare and rest:
            values[bare].value = rest.pop(0)
        if overrides:
            config = _given_config(values, overrides[0])
            rest += _override(config, overrides)
            values.config = config
    except (flags.Error, ValueError, TypeError, LookupError, AttributeError) as error:
        message = str(error).strip() or type(error).__name__
        raise UserError(message.splitlines()[0][:LONGEST_MESSAGE]) from error
    finally:
        sys.argv = saved
    if rest:
        raise UserError(f"unexpected argument {rest[0]!r}; flags are written --name=value")
    return values


def define_config(values: flags.FlagValues) -> None:
    """`--config=FILE[:argument]`, and `--config.key=value` for any of its fields.

    A field of several texts takes them with commas between.
    """
    flags.DEFINE(
        _ExperimentFile(),
        "config",
        None,
        "experiment file, as FILE.py or FILE.py:argument; --config.key=value changes a field",
        flag_values=values,
    )


def refuse_beside(what: str, values: flags.FlagValues, *others: str) -> None:
    """Raises UserError for a flag of `others` that was given in vain beside `what`."""
    for name in others:
        if values[name].present and values[name].value:
            raise UserError(f"--{name} is of no use with {what}; leave one of them out")


def reference_of(values: flags.FlagValues) -> str:
    """`FILE[:argument]`, as `--config` was given."""
    return values["config"].parser.reference


class _ExperimentFile(flags.ArgumentParser):
    """The value of `--config`: the configuration that the file returns."""

    reference = ""

    def parse(self, argument: str) -> ConfigDict:
        self.reference = argument
        return load_from_file(argument, "config", ConfigDict)


def define_workdir(values: flags.FlagValues, text: str) -> None:
    """`--workdir=DIR`."""
    flags.DEFINE_string("workdir", None, text, flag_values=values)


def required_config(values: flags.FlagValues) -> ConfigDict:
    """The configuration of `--config`.

    Raises UserError if it was not given or has a value that no configuration can have.
    """
    if values.config is None:
        empty = (
            f", and {values.workdir} holds no run to go on with" if _named_workdir(values) else ""
        )
        raise UserError(
            f"--config=FILE is missing{empty}; see experiments/ for files to begin with"
        )
    check_values(values.config)
    return values.config


def _named_workdir(values: flags.FlagValues) -> bool:
    return "workdir" in values and bool(values.workdir)


def required_workdir(values: flags.FlagValues) -> Path:
    """The folder of `--workdir`; raises UserError if it was not given."""
    if not values.workdir:
        raise UserError("--workdir=DIR is missing; it names the folder of the run")
    return Path(values.workdir)


def kept_config(values: flags.FlagValues) -> ConfigDict | None:
    """The configuration of the run that `--workdir` names, if it has begun."""
    run = RunDirectory(values.workdir or "")
    return run.config() if values.workdir and run.is_begun else None


def _split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """The overrides, such as `--config.seed=1`, and the other arguments."""
    overrides, others, chosen = [], [], []
    for argument in arguments:
        if argument.startswith("-"):  # else a value, after a blank, of the flag before it
            chosen = overrides if _path(argument) else others
        (chosen if chosen is overrides else others).append(argument)
    return overrides, others


def _path(argument: str) -> str:
    """`model.width` for `--config.model.width=8`; empty for another flag."""
    found = re.match(r"--?(?:no)?config\.([^=]*)", argument)
    return found[1] if found else ""


def _given_config(values: flags.FlagValues, override: str) -> ConfigDict:
    """What the overrides change: the configuration of `--config`, or that of a run that goes on."""
    config = values.config
    if config is None and "workdir" in values:
        config = kept_config(values)
    if config is None:
        run = ", or the --workdir of a run that has begun" if "workdir" in values else ""
        raise UserError(
            f"{override} changes a field of a configuration, and there is none; give "
            f"--config=FILE{run}"
        )
    return config


def _override(config: ConfigDict, overrides: list[str]) -> list[str]:
    """Changes the fields of `config`; returns the arguments that are no overrides.

    Another name of a model, a backbone or an objective brings the default fields of that one;
    options of parts that are no longer chosen are dropped, and a line says so. Raises UserError for
    an override of what is no field.
    """
    for part in NAMED:
        names = [given.partition("=")[2] for given in overrides if _path(given) == f"{part}.name"]
        if names and names[-1]:
            _check_field(config, f"{part}.name")
            choose(config, part, names[-1])
    before = chosen_parts(config)
    options, overrides = _split_options(config, overrides)
    for path in filter(None, map(_path, overrides)):
        _check_field(config, path)
    values = flags.FlagValues()
    sys.argv = ["lmjax", *_with_tuples(config, overrides)]  # where config_flags looks for them
    config_flags.DEFINE_config_dict("config", config, flag_values=values)
    rest = values(sys.argv)[1:]
    for line in drop_left_over(config, before):
        print(line, file=sys.stderr)
    for field, path, value in options:
        set_option(config, field, path, value)
    lock(config)
    return rest


def _split_options(
    config: ConfigDict, overrides: list[str]
) -> tuple[list[tuple[str, str, Any]], list[str]]:
    """Fields, paths and values of the overrides of options, and the other overrides."""
    options, others, rest = [], [], list(overrides)
    while rest:
        argument = rest.pop(0)
        path = _path(argument)
        if not (field := options_of(config, path)):
            others.append(argument)
            continue
        _, equals, text = argument.partition("=")
        if equals or (rest and not rest[0].startswith("-")):
            value = option_value(text if equals else rest.pop(0))
        else:  # a switch
            value = not re.match("--?no", argument)
        options.append((field, path, value))
    return options, others


def _with_tuples(config: ConfigDict, overrides: list[str]) -> list[str]:
    """The overrides, those of fields of several names as `--config.data.cleaning=('nfc',)`.

    They are given as names with commas between, or as Python writes a tuple.
    """
    quoted, rest = [], list(overrides)
    while rest:
        argument = rest.pop(0)
        *above, field = _path(argument).split(".")
        level = reduce(ConfigDict.get, above, config)
        if isinstance(level, ConfigDict) and isinstance(level.get(field), tuple):
            name, equals, value = argument.partition("=")
            if not equals and rest and not rest[0].startswith("-"):
                value = rest.pop(0)
            argument = f"{name}={_quoted(name, value)}"
        quoted.append(argument)
    return quoted


def _quoted(flag: str, given: str) -> str:
    try:
        ast.literal_eval(given)
    except (ValueError, SyntaxError):  # not as Python writes it
        names = tuple(map(str.strip, given.split(","))) if given.strip() else ()
        if "" in names:
            raise UserError(f"{flag}={given} has an empty name; leave that comma out") from None
        return repr(names)
    return given


def _check_field(config: ConfigDict, path: str) -> None:
    level = config
    for key in path.split("."):
        keys = level.keys() if isinstance(level, ConfigDict) else ()
        name = key.partition("[")[0]
        if name not in keys:
            raise UserError(f"unknown configuration key {path!r}: {nearest(name, keys)}")
        level = level[name]
    if isinstance(level, ConfigDict):
        raise UserError(f"{path!r} is no field; give --config.{path}.key=value for one of it")
