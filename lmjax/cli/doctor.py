"""`lmjax doctor`: what lmjax runs on and what is wrong with it.

`doctor replay` runs a bad step again; `doctor model` tests what has to hold for every model;
`doctor decoding` reads a thousand tokens one by one and says what a carry keeps.
"""

import os
from collections import Counter
from pathlib import Path

from absl import flags

from lmjax.cli.flags import define_config, define_workdir, parse, required_config, required_workdir
from lmjax.errors import UserError

ENOUGH_DISK = 2 * 2**30  # bytes


def main(arguments: list[str]) -> int:
    """Runs the verb; returns 0 if nothing is wrong, else 1."""
    if arguments[:1] == ["replay"]:
        return _replay(arguments[1:])
    if arguments[:1] == ["model"]:
        return _model(arguments[1:])
    if arguments[:1] == ["decoding"]:
        return _decoding(arguments[1:])
    if arguments and not arguments[0].startswith("-"):
        given, names = arguments[0], ("model", "decoding", "replay")
        raise UserError(f"doctor has no {given!r}; give one of {', '.join(names)}, or flags alone")
    values = parse(
        "doctor",
        "check versions, devices, folders, data and arithmetic; the exit code is 1 if one is wrong",
        "lmjax doctor --workdir=runs/gpt",
        _define,
        arguments,
    )
    if values is None:
        print("\nlmjax doctor replay --workdir=DIR runs again a step whose numbers went wrong")
        print("lmjax doctor model FILE.py:Class tests what has to hold for every model")
        print("lmjax doctor decoding EXPERIMENT.py:smoke reads 1,000 tokens one by one")
        return 0
    from rich.console import Console

    console = Console()
    wrong = _machine(console) + _folders(console, Path(values.workdir or "runs")) + _data(console)
    if values.self_test:
        wrong += _arithmetic(console)
    for line in wrong:
        console.print(f"wrong: {line}", highlight=False, markup=False, soft_wrap=True)
    console.print(f"things that are wrong: {len(wrong)}" if wrong else "nothing is wrong")
    return 1 if wrong else 0


def _machine(console) -> list[str]:
    """Prints versions, devices, cores and memory; returns what is wrong with them."""
    from rich.table import Table

    from lmjax.runs.diagnosis import memory
    from lmjax.runs.environment import environment

    found = environment()
    table = Table(show_header=False)
    for name, version in found["versions"].items():
        table.add_row(name, version or "missing")
    for device, count in Counter(found["devices"]).items():
        table.add_row("devices", f"{count} x {device}")
    table.add_row("cores", str(found["machine"]["cores"]))
    free, total = memory() or (0, 0)
    table.add_row("memory", f"{_gib(free)} free of {_gib(total)}" if total else "unknown")
    console.print(table)
    return [
        f"{name} is not installed" for name, version in found["versions"].items() if not version
    ]


def _folders(console, workdir: Path) -> list[str]:
    """Prints where runs and data go; returns what cannot be written there."""
    from rich.table import Table

    from lmjax.data.cache import cache_directory
    from lmjax.runs.diagnosis import free_disk, standing, try_writing

    table = Table("folder", "where", "free", "written to")
    wrong = []
    for name, folder in [("cache", cache_directory()), ("workdir", workdir)]:
        free, written = free_disk(folder), "ok"
        try:
            try_writing(folder)
        except UserError as error:
            written = "fails"
            wrong.append(f"{name}: {error}")
        if free < ENOUGH_DISK:
            wrong.append(f"{name}: {standing(folder)} has less than {_gib(ENOUGH_DISK)} free")
        table.add_row(name, str(folder), _gib(free), written)
    console.print(table)
    return wrong


def _data(console) -> list[str]:
    """Prints the public files and the prepared datasets; returns which of them are corrupted."""
    from rich.table import Table

    from lmjax.data.cache import cache_directory
    from lmjax.data.corpora import CORPORA
    from lmjax.data.dataset import read_dataset

    folder = os.environ.get("LMJAX_DATA_DIR") or "LMJAX_DATA_DIR, which is not set,"
    table = Table("data", "state", caption=f"public files are looked for in {folder} and the cache")
    wrong = []

    def add(name: str, read) -> None:
        try:
            table.add_row(name, read())
        except UserError as error:
            table.add_row(name, "corrupted")
            wrong.append(str(error))

    for file in (file for source in CORPORA.values() for file in source.files):
        add(file.path, lambda file=file: "verified" if file.local() and file.read() else "absent")
    for prepared in sorted(cache_directory().glob("datasets/[!.]*")):
        add(prepared.name, lambda prepared=prepared: _fingerprints(read_dataset(prepared)))
    console.print(table)
    return wrong


def _fingerprints(dataset) -> str:
    return "\n".join(f"{split} {stream.fingerprint}" for split, stream in dataset.splits.items())


def _arithmetic(console) -> list[str]:
    """Prints how far each model is from float64; returns where it is too far."""
    import jax
    from rich.table import Table

    from lmjax.checks.self_test import plan, self_test
    from lmjax.models.registry import FAMILIES
    from lmjax.runs.terminal import progress_bar

    planned = plan(jax.devices())
    with progress_bar(console, "self-test", len(FAMILIES) * len(planned)) as advance:
        checks = self_test(planned, FAMILIES, advance)
    table = Table(
        "model",
        "device",
        "mode",
        "furthest off",
        "error",
        "tolerance",
        "",
        title="self-test",
        caption="against float64 on the CPU without jit; virtual CPU devices count as one",
    )
    for check in checks:
        table.add_row(
            check.family,
            check.device,
            str(check.mode),
            check.quantity,
            f"{check.error:.1e}",
            f"{check.mode.tolerance:.0e}",
            "ok" if check.passed else "wrong",
        )
    console.print(table)
    return [str(check) for check in checks if not check.passed]


def _replay(arguments: list[str]) -> int:
    def define(values: flags.FlagValues) -> None:
        define_workdir(values, "folder of the run")
        flags.DEFINE_integer(
            "step",
            None,
            "one of the steps kept in its folder replay/; default: the last",
            flag_values=values,
        )

    values = parse(
        "doctor replay",
        "run a step that was not finite again; the exit code is 1 if it is not finite again",
        "lmjax doctor replay --workdir=runs/gpt",
        define,
        arguments,
    )
    if values is None:
        return 0
    from rich.console import Console

    from lmjax.checks.replay import replay

    return 1 if replay(required_workdir(values), Console(), values.step) else 0


def _model(arguments: list[str]) -> int:
    named = [argument for argument in arguments[:1] if not argument.startswith("-")]
    values = parse(
        "doctor model",
        "test what has to hold for every model on a small vocabulary; give FILE.py:Class or "
        "--config; the exit code is 1 if something does not hold",
        "lmjax doctor model my_file.py:MyModel",
        define_config,
        arguments[len(named) :],
    )
    if values is None:
        return 0
    if bool(named) == (values.config is not None):
        raise UserError("give either FILE.py:Class (or a family's name), or --config=FILE")
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from lmjax.checks.probes import distinct_parameters
    from lmjax.checks.properties import PROPERTIES, NoEmbedding, violation
    from lmjax.config import model_config
    from lmjax.data.character_tokenizer import CharacterTokenizer
    from lmjax.models.registry import build_model

    config = model_config(named[0]) if named else required_config(values).model
    model = build_model(config, CharacterTokenizer("\nabcde", False, True))
    params = distinct_parameters(model)
    table = Table("property", "", title=config.name)
    wrong = 0
    for name in PROPERTIES[model.reads]:
        try:
            found = violation(name, model, params)
        except NoEmbedding:
            found, outcome = None, "not tested: no TokenEmbedding or nn.Embed reads the tokens"
        else:
            outcome = found or "ok"
        wrong += found is not None
        table.add_row(name, escape(outcome))
    Console().print(table)
    return 1 if wrong else 0


def _decoding(arguments: list[str]) -> int:
    named = [argument for argument in arguments if not argument.startswith("-")]
    values = parse(
        "doctor decoding",
        "read 1,000 tokens one by one and all at once by the models of experiment files, with "
        "random parameters, and print how far their logits are apart and the bytes of a row's "
        "carry; the exit code is 1 if they are not the same function",
        "lmjax doctor decoding experiments/models/griffin.py:smoke",
        lambda values: None,
        [argument for argument in arguments if argument not in named],
    )
    if values is None:
        return 0
    if not named:
        raise UserError("name an experiment, such as experiments/models/griffin.py:smoke")
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from lmjax.api import load_experiment
    from lmjax.checks.decoding import decoding, table

    found = [
        decoding(Path(reference).name.replace(".py", ""), load_experiment(reference))
        for reference in named
    ]
    header, *rows = table(found)
    printed = Table(*header)
    for row in rows:
        printed.add_row(*map(escape, row))
    console = Console()
    console.print(printed)
    wrong = [one.wrong for one in found if one.wrong]
    for line in wrong:
        console.print(f"wrong: {line}", highlight=False, markup=False, soft_wrap=True)
    return 1 if wrong else 0


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"


def _define(values: flags.FlagValues) -> None:
    define_workdir(values, "a folder to write a run to")
    flags.DEFINE_boolean(
        "self_test", True, "compare every model's numbers with float64", flag_values=values
    )
