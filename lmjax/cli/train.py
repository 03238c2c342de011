"""`lmjax train`: train a model, or go on training it."""

import re
from pathlib import Path

from absl import flags
from ml_collections import ConfigDict

from lmjax.cli.flags import (
    define_config,
    define_workdir,
    kept_config,
    parse,
    reference_of,
    required_config,
)
from lmjax.cli.main import BEGUN
from lmjax.runs.startup import Startup


def main(arguments: list[str]) -> int:
    """Runs the verb; returns the exit code."""
    values = parse(
        "train",
        "train a model, or go on training it; a finished run is left as it is, unless "
        "training.duration is longer than it was",
        "lmjax train --config=experiments/ptb/zaremba_small.py --workdir=runs/zaremba "
        "--config.training.learning_rate=0.5",
        _define,
        arguments,
    )
    if values is None:
        return 0
    config = _config(values)
    if values.verify_resume:
        return _verify(config, values.verify_steps)
    workdir = Path(values.workdir or f"runs/{_default_name(values, config)}")

    from lmjax.training.run import train

    startup = Startup(BEGUN)
    startup.end("imports")
    train(config, workdir, startup=startup)
    print(f"\nrun directory: {workdir}")
    return 0


def _config(values: flags.FlagValues) -> ConfigDict:
    """That of --config or, without it, that of the run in --workdir, which goes on."""
    kept = kept_config(values) if values.config is None else None
    return required_config(values) if kept is None else kept


def _define(values: flags.FlagValues):
    define_config(values)
    define_workdir(
        values,
        "folder of the run; without --config the run that is there goes on with the configuration "
        "that it keeps, changed by --config.key=value; if not given, one in runs/ named after the "
        "experiment",
    )
    flags.DEFINE_boolean(
        "verify_resume",
        False,
        "train no run, but prove in a temporary folder that one stopped and resumed is one never "
        "stopped, bit for bit",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "verify_steps", 10, "verify_resume: steps before and after the stop", flag_values=values
    )


def _verify(config, steps: int) -> int:
    from rich.console import Console

    from lmjax.checks.resume_proof import verify_resume

    differences = verify_resume(config, Console(), steps)
    for line in differences:
        print(line)
    if differences:
        print(f"the resumed run is another one: {len(differences)} differences")
        return 1
    print("the resumed run is the run that never stopped, bit for bit")
    return 0


def _default_name(values: flags.FlagValues, config) -> str:
    path, _, argument = reference_of(values).partition(":")
    argument = re.sub(r"[^\w.-]+", "_", argument)  # which may be the path of a model's file
    parts = [Path(path).stem, *([argument] if argument else []), f"seed_{config.seed}"]
    return "-".join(parts)
