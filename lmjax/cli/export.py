"""`lmjax export`: make a Hugging Face folder of a trained model."""

from pathlib import Path

from absl import flags

from lmjax.cli.flags import define_workdir, parse, required_workdir
from lmjax.errors import UserError


def main(arguments: list[str]) -> int:
    """Runs the verb; returns the exit code."""
    values = parse(
        "export",
        "make a Hugging Face folder (config.json, model.safetensors, tokenizer) of a trained model",
        "lmjax export --workdir=runs/gpt --to=gpt_for_transformers",
        _define,
        arguments,
    )
    if values is None:
        return 0
    workdir = required_workdir(values)
    if not values.to:
        raise UserError("--to=FOLDER is missing; it names the folder to make")

    from lmjax.api import load

    names = load(workdir, values.step).export(Path(values.to))
    print(f"{values.to} has {', '.join(names)}")
    return 0


def _define(values: flags.FlagValues):
    define_workdir(values, "folder of the run")
    flags.DEFINE_string("to", None, "the folder to make, not there yet", flag_values=values)
    flags.DEFINE_integer(
        "step", None, "step of the checkpoint; if not given, the one scored", flag_values=values
    )
