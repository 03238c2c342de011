"""What the verbs share: flags with an example in their help, and configurations from files."""

import sys
from collections.abc import Callable
from pathlib import Path

from absl import flags
from ml_collections import ConfigDict, config_flags

from lmjax.config import model_config
from lmjax.errors import UserError, nearest
from lmjax.runs.fields import check_values

LONGEST_MESSAGE = 400  # characters of one that repeats what was given

Define = Callable[[flags.FlagValues], None]


def parse(
    verb: str, text: str, example: str, define: Define, arguments: list[str]
) -> flags.FlagValues | None:
    """The flags that `define` defines, with the values of `arguments`; None after `--help`.

    Raises UserError for a flag or a configuration key that does not exist, a value that does not
    fit, or a configuration file that cannot be run.
    """
    values = flags.FlagValues()
    define(values)
    if {"--help", "-h"} & set(arguments):
        print(f"lmjax {verb}: {text}\n\nexample: {example}\n\nflags:")
        for name in values:
            default = "" if values[name].default is None else f" (default: {values[name].default})"
            print(f"  --{name}: {values[name].help}{default}")
        return None
    saved = sys.argv
    try:
        model = _named_model(arguments) if "config" in values else None
        if "config" in values:
            _check_overrides(arguments, model)
        of_model = [argument for argument in arguments if model and _path(argument, "model")]
        sys.argv = ["lmjax", *(given for given in arguments if given not in of_model)]
        rest = values(sys.argv)[1:]  # config_flags looks for overrides in sys.argv
        if model:
            _replace_model(values.config, model, of_model)
    except UserError:
        raise
    except (flags.Error, ValueError, TypeError) as error:
        raise UserError(str(error).splitlines()[0][:LONGEST_MESSAGE]) from error
    except Exception as error:
        raise UserError(f"the configuration file failed: {_last_line(error)}") from error
    finally:
        sys.argv = saved
    if rest:
        raise UserError(f"unexpected argument {rest[0]!r}; flags are written --name=value")
    return values


def define_config(values: flags.FlagValues) -> None:
    """`--config=FILE[:argument]`, and `--config.key=value` for any of its fields."""
    config_flags.DEFINE_config_file(
        "config",
        None,
        "experiment file, as FILE.py or FILE.py:argument; --config.key=value changes a field",
        flag_values=values,
    )


def define_workdir(values: flags.FlagValues, text: str) -> None:
    """`--workdir=DIR`."""
    flags.DEFINE_string("workdir", None, text, flag_values=values)


def required_config(values: flags.FlagValues) -> ConfigDict:
    """The configuration of `--config`.

    Raises UserError if it was not given or has a value that no configuration can have.
    """
    if values.config is None:
        raise UserError("--config=FILE is missing; see experiments/ for files to begin with")
    check_values(values.config)
    return values.config


def required_workdir(values: flags.FlagValues) -> Path:
    """The folder of `--workdir`; raises UserError if it was not given."""
    if not values.workdir:
        raise UserError("--workdir=DIR is missing; it names the folder of the run")
    return Path(values.workdir)


def _path(argument: str, above: str = "") -> str:
    """`model.width` for `--config.model.width=8`; empty for another flag or not below `above`."""
    path = argument.partition("=")[0].partition("-config.")[2]
    return path if path.startswith(f"{above}.".removeprefix(".")) else ""


def _named_model(arguments: list[str]) -> ConfigDict | None:
    """The default fields of the model that `--config.model.name=` names."""
    names = [given.partition("=")[2] for given in arguments if _path(given) == "model.name"]
    return model_config(names[-1]) if names and names[-1] else None


def _replace_model(config: ConfigDict | None, model: ConfigDict, arguments: list[str]) -> None:
    """Puts `model`, with the overrides in `arguments`, in place of that of the configuration.

    Where the configuration has that model already, its fields stay what they are.
    """
    if config is None:
        return
    changed = ConfigDict({"model": config.model if config.model.name == model.name else model})
    values = flags.FlagValues()
    sys.argv = ["lmjax", *arguments]
    config_flags.DEFINE_config_dict("config", changed, flag_values=values)
    values(sys.argv)
    with config.unlocked():
        config.model = changed.model


def _check_overrides(arguments: list[str], model: ConfigDict | None) -> None:
    """Loads the configuration file, and raises UserError for an override of what is no field."""
    files = [argument for argument in arguments if argument.startswith("--config=")]
    if not files:
        return
    alone = flags.FlagValues()
    define_config(alone)
    sys.argv = ["lmjax", files[-1]]
    alone(sys.argv)
    keys = alone.config.keys()  # a file that failed to load says so when it is used
    if model:
        with alone.config.unlocked():
            alone.config.model = model
    for argument in arguments:
        path = _path(argument)
        level = alone.config
        for key in path.split(".") if path else ():
            keys = level.keys() if isinstance(level, ConfigDict) else ()
            name = key.partition("[")[0]
            if name not in keys:
                raise UserError(f"unknown configuration key {path!r}: {nearest(name, keys)}")
            level = level[name]
        if path and isinstance(level, ConfigDict):
            raise UserError(f"{path!r} is no field; give --config.{path}.key=value for one of it")


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
