"""What the verbs share: flags with an example in their help, and configurations from files."""

import re
import sys
from collections.abc import Callable
from pathlib import Path

from absl import flags
from ml_collections import ConfigDict, config_flags

from lmjax.errors import UserError

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
    saved, sys.argv = sys.argv, ["lmjax", *arguments]  # config_flags reads overrides from it
    try:
        rest = values(sys.argv)[1:]
        if "config" in values and values.config is not None:
            values.config.keys()  # a file that failed to load says so when it is used
    except UserError:
        raise
    except (AttributeError, KeyError) as error:
        # The library quotes its message once more for each level of the key.
        key, *meant = re.findall(r"(?<=')\w+(?=')|(?<=mean \")\w+", str(error).replace("\\", ""))
        hint = f"; did you mean {meant[0]!r}?" if meant else "; see lmjax/config.py for all keys"
        raise UserError(f"unknown configuration key {key!r}{hint}") from error
    except (flags.Error, ValueError, TypeError) as error:
        raise UserError(str(error).splitlines()[0]) from error
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
    """The configuration of `--config`; raises UserError if it was not given."""
    if values.config is None:
        raise UserError("--config=FILE is missing; see experiments/ for files to begin with")
    return values.config


def required_workdir(values: flags.FlagValues) -> Path:
    """The folder of `--workdir`; raises UserError if it was not given."""
    if not values.workdir:
        raise UserError("--workdir=DIR is missing; it names the folder of the run")
    return Path(values.workdir)


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
