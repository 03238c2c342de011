"""`lmjax train`: train a model, or go on training it."""

from pathlib import Path

from absl import flags

from lmjax.cli.flags import define_config, define_workdir, parse, required_config


def main(arguments: list[str]) -> int:
    """Runs the verb; returns the exit code."""
    values = parse(
        "train",
        "train a model, or go on training it; a finished run is left as it is",
        "lmjax train --config=experiments/ptb/zaremba_small.py --workdir=runs/zaremba "
        "--config.training.learning_rate=0.5",
        _define,
        arguments,
    )
    if values is None:
        return 0
    config = required_config(values)
    workdir = Path(values.workdir or f"runs/{_default_name(values, config)}")

    from lmjax.training.loop import train

    train(config, workdir)
    print(f"\nrun directory: {workdir}")
    return 0


def _define(values: flags.FlagValues):
    define_config(values)
    define_workdir(values, "folder of the run; without it, one in runs/ named after the experiment")


def _default_name(values: flags.FlagValues, config) -> str:
    path, _, argument = values["config"].config_filename.partition(":")
    parts = [Path(path).stem, *([argument] if argument else []), f"seed_{config.seed}"]
    return "-".join(parts)
