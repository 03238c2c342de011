"""`lmjax sample`: continue a prompt with a trained model."""

import sys
from collections.abc import Callable

from absl import flags

from lmjax.cli.flags import define_workdir, parse, required_workdir
from lmjax.errors import UserError


def main(arguments: list[str]) -> int:
    """Runs the verb; returns the exit code."""
    values = parse(
        "sample",
        "continue a prompt with a trained model; the text appears as it is drawn",
        'lmjax sample --workdir=runs/gpt --prompt="ROMEO:" --length=200 --temperature=0.8\n'
        "         lmjax sample --workdir=runs/gpt --samples=20 --measure",
        _define,
        arguments,
    )
    if values is None:
        return 0
    workdir = required_workdir(values)
    if values.samples < 1:
        raise UserError(
            f"--samples={values.samples}: give how many continuations to draw, 1 or more"
        )

    from lmjax.api import load
    from lmjax.generation.generate import check_seed

    for seed in (values.seed, values.seed + values.samples - 1):
        check_seed(seed)
    trained = load(workdir, values.step)
    if not trained.objective.scores_text:
        print(
            f"this model was trained by objective.name={trained.config.objective.name!r}, and "
            "never to continue a text: what is drawn is none",
            file=sys.stderr,
        )
    samples = []
    for number in range(values.samples):
        if values.samples > 1:
            print(f"--- sample {number + 1}, seed {values.seed + number}")
        sample = trained.generate(
            values.prompt,
            length=values.length,
            temperature=values.temperature,
            top_k=values.top_k,
            top_p=values.top_p,
            seed=values.seed + number,
            on_text=_after(values.prompt),
        )
        print()
        samples.append(sample)
    if values.keep:
        from lmjax.runs.lock import only_writer
        from lmjax.runs.run_directory import RunDirectory

        with only_writer(workdir):
            RunDirectory(workdir).write_samples("\n\n".join(values.prompt + s for s in samples))
    if values.measure:
        from lmjax.runs.files import to_json

        print(to_json(trained.measure_samples(samples), indent=2), file=sys.stderr)
    return 0


def _after(prompt: str) -> Callable[[str], None]:
    """Writes the prompt, once it is known to be one that the model can read, and what follows."""
    unwritten = [prompt]

    def write(text: str):
        sys.stdout.write("".join(unwritten) + text)
        sys.stdout.flush()
        unwritten.clear()

    return write


def _define(values: flags.FlagValues):
    define_workdir(values, "folder of the run")
    for name, default, text in (
        ("step", None, "step of the checkpoint to load; if not given, the one that was scored"),
        ("length", 200, "most tokens to draw for a continuation"),
        ("top_k", 0, "draw from this many of the most probable tokens; 0: from all"),
        ("seed", 0, "decides what is drawn"),
        ("samples", 1, "how many continuations, each with the next seed"),
    ):
        flags.DEFINE_integer(name, default, text, flag_values=values)
    flags.DEFINE_boolean(
        "measure",
        False,
        "tell how varied the samples are and what of them stands in the training text, beside as "
        "much of the validation text",
        flag_values=values,
    )
    flags.DEFINE_boolean(
        "keep",
        False,
        "put the samples into the run's folder, in place of those there, for `lmjax report`",
        flag_values=values,
    )
    flags.DEFINE_string("prompt", "", "the text to continue", flag_values=values)
    flags.DEFINE_float(
        "temperature",
        1.0,
        "above 1 more varied, below 1 less; 0: always the most probable token",
        flag_values=values,
    )
    flags.DEFINE_float(
        "top_p",
        1.0,
        "draw from the fewest tokens that together have this probability",
        flag_values=values,
    )
