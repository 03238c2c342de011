"""`lmjax prompt`: label texts by a language model that was not trained for it."""

from absl import flags

from lmjax.cli.flags import define_workdir, parse, required_workdir
from lmjax.errors import UserError

EXAMPLE = """lmjax prompt --workdir=runs/gpt --task=trec --shots=4 --seed=0 --calibrate
         lmjax prompt --workdir=runs/gpt --task=sst2 --template=mine.json --examples=200
         where mine.json is {"example": "{text} It was", "labels": {"1": "great", "0": "bad"}}"""


def main(arguments: list[str]) -> int:
    """Runs the verb; returns the exit code."""
    values = parse(
        "prompt",
        "label a task's texts by the likeliest words after a prompt, with examples in it or none",
        EXAMPLE,
        _define,
        arguments,
    )
    if values is None:
        return 0
    workdir = required_workdir(values)
    if not values.task:
        raise UserError("--task=NAME is missing; `lmjax task list` shows them")

    from rich.console import Console

    from lmjax.api import load
    from lmjax.runs.files import to_json

    trained = load(workdir, values.step)
    measured = trained.prompt(
        values.task,
        shots=values.shots,
        seed=values.seed,
        calibrate=values.calibrate,
        normalization=values.normalization,
        template=values.template,
        split=values.split,
        examples=values.examples,
        reader="lmjax prompt",
        console=Console(stderr=True),
    )
    print(to_json({"task": values.task, "step": trained.step, **measured}, indent=2))
    return 0


def _define(values: flags.FlagValues):
    define_workdir(values, "folder of the run, of a model that continues texts")
    for name, default, text in (
        ("task", "", "a task of labels, as `lmjax task list` shows them"),
        ("split", "test", "train | validation | test (each read is logged)"),
        ("normalization", "none", "of a label's log-probability: none | tokens | characters"),
        ("template", "", "JSON file of another template: example, labels, instruction, separator"),
    ):
        flags.DEFINE_string(name, default, text, flag_values=values)
    for name, default, text in (
        ("shots", 0, "labelled training examples in each prompt; 0: zero-shot"),
        ("seed", 0, "draws the examples and their order"),
        ("examples", 0, "answer the first so many of the split; 0: all"),
        ("step", None, "step of the checkpoint to load; if not given, the one that was scored"),
    ):
        flags.DEFINE_integer(name, default, text, flag_values=values)
    flags.DEFINE_boolean(
        "calibrate",
        False,
        "divide by the probabilities after texts without content (Zhao et al. 2021)",
        flag_values=values,
    )
