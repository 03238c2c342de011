"""`lmjax bench`: measure speed and memory, beside other programs."""

import sys
from dataclasses import asdict
from pathlib import Path

from absl import flags

from lmjax.cli.flags import parse
from lmjax.errors import UserError, writing

PROFILED_STEPS = 10  # unless told otherwise


def main(arguments: list[str]) -> int:
    """Runs the verb; returns the exit code."""
    values = parse(
        "bench",
        "measure speed and memory, in turns with other programs where a case takes them",
        "lmjax bench --case=lstm_small --peer=tests/peers/torch_rnn.py\n"
        "         lmjax bench --case=list",
        _define,
        arguments,
    )
    if values is None:
        return 0
    from rich.console import Console
    from rich.markup import escape

    from lmjax.checks.benchmarks.contract import Turns
    from lmjax.checks.benchmarks.registry import CASES, find_case
    from lmjax.runs.devices import prepare_devices
    from lmjax.runs.diagnosis import try_writing
    from lmjax.runs.environment import environment
    from lmjax.runs.files import to_json, write_atomically

    console = Console()
    if "list" in (values.case or ()):
        for case in CASES.values():
            console.print(f"{case.name}: {case.about}", highlight=False, soft_wrap=True)
        return 0
    for name in ("steps", "rounds"):
        if values[name].value is not None and values[name].value < 1:
            raise UserError(f"--{name} is {values[name].value}; give 1 or more")
    cases = [find_case(name) for name in values.case or ()]
    if not cases:
        raise UserError("give --case=NAME, as often as you like; --case=list shows them")
    for case in cases:
        if values.peer and not case.takes_peers:
            raise UserError(f"case {case.name!r} is measured without peers; leave --peer out")
        if values.profile and values.peer:
            raise UserError("a profile is of lmjax alone; leave --peer or --profile out")
        if values.profile and not case.has_profile:
            raise UserError(f"case {case.name!r} has no profile; leave --profile out")
        if values.steps and not case.takes_steps:
            raise UserError(f"case {case.name!r} has no steps; leave --steps out")
        if values["rounds"].present and (values.profile or not case.takes_rounds):
            raise UserError(f"case {case.name!r} is then measured once; leave --rounds out")
    output = Path(values.json).absolute() if values.json else None
    if output and output.is_dir():
        raise UserError(f"--json={values.json} is a folder; name a file in it")
    for folder in filter(None, (output and output.parent, values.profile)):
        try_writing(Path(folder).absolute())  # before what takes minutes
    prepare_devices(values.cpu_devices)
    results = []
    for case in cases:
        with console.status(case.name, refresh_per_second=1) as status:
            turns = Turns(
                peers=tuple(values.peer),
                python=values.python,
                steps=values.steps or (PROFILED_STEPS if values.profile else case.steps_of_a_turn),
                rounds=values.rounds,
                profile=Path(values.profile) if values.profile else None,
                tell=lambda part, name=case.name: status.update(escape(f"{name}: {part}")),
            )
            result = case.measure(turns)
        console.print(_table(result))
        results.append(result)
        if output:  # each time, so that none is lost
            written = {"environment": environment(), "results": [*map(asdict, results)]}
            with writing(output):
                output.parent.mkdir(parents=True, exist_ok=True)
                write_atomically(output, to_json(written, indent=2))
    return 0


def _table(result):
    from rich.markup import escape
    from rich.table import Table

    title, notes = f"{result.case}: {result.about}", "\n".join(result.notes)
    table = Table(title=escape(title), caption=escape(notes))
    table.title_justify = table.caption_justify = "left"
    for name, value in result.rows[0].items():
        table.add_column(
            name, justify="left" if isinstance(value, str) else "right", overflow="fold"
        )
    for row in result.rows:
        table.add_row(*map(_shown, row.values()))
    return table


def _shown(value) -> str:
    from rich.markup import escape

    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:,.2f}" if abs(value) < 100 else f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) else escape(value)


def _define(values: flags.FlagValues):
    flags.DEFINE_multi_string("case", None, "what to measure; list: tell all", flag_values=values)
    flags.DEFINE_multi_string(
        "peer",
        [],
        "another program to compare with: a Python file and its flags",
        flag_values=values,
    )
    flags.DEFINE_string("python", sys.executable, "interpreter of the peers", flag_values=values)
    flags.DEFINE_integer(
        "steps",
        None,
        f"steps in a turn; if not given, the case's own number, or {PROFILED_STEPS} of a profile",
        flag_values=values,
    )
    flags.DEFINE_integer("rounds", 3, "turns of each program", flag_values=values)
    flags.DEFINE_integer("cpu_devices", 0, "virtual CPU devices; 0: one a core", flag_values=values)
    flags.DEFINE_string("json", None, "file to write the figures to", flag_values=values)
    flags.DEFINE_string(
        "profile",
        None,
        "folder for a trace, of which the ten costliest operations are told in place of a "
        "comparison",
        flag_values=values,
    )
