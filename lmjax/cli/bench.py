"""`lmjax bench`: time training steps, beside those of other programs."""

import sys
from pathlib import Path

from absl import flags

from lmjax.cli.flags import parse


def main(arguments: list[str]) -> int:
    """Runs the verb; returns the exit code."""
    values = parse(
        "bench",
        "time training steps in steady state, in turns with those of other programs",
        "lmjax bench --case=gpt_cpu --peer=torch_gpt.py --peer='torch_gpt.py --compile'",
        _define,
        arguments,
    )
    if values is None:
        return 0
    from rich.console import Console

    from lmjax.checks.benchmark import CASES, compare, find_case
    from lmjax.runs.devices import prepare_devices
    from lmjax.runs.files import to_json, write_atomically

    prepare_devices(values.cpu_devices)
    console = Console()
    results = []
    for name in values.case or CASES:
        result = compare(find_case(name), values.peer, values.python, values.steps, values.rounds)
        console.print(_table(result))
        results.append(result.to_json())
    if values.json:
        write_atomically(Path(values.json), to_json(results, indent=2))
    return 0


def _table(result):
    from rich.table import Table

    table = Table(
        title=f"{result.case}: B {result.batch_size}, T {result.length}, {result.devices} devices",
        caption=f"ceiling {result.ceiling:.1f} ms: {result.gflop_per_step:.2f} GFLOP at "
        f"{result.matmul_gflops:.0f} GFLOP/s; reached {result.share_of_ceiling:.0%} of it. "
        f"First step, with compiling: {result.ours.first / 1e3:.1f} s",
    )
    table.add_column("program")
    for column in ("median ms", "fastest", "slowest", "steps", "theirs / ours"):
        table.add_column(column, justify="right")
    rows = [
        (result.ours, ""),
        *((p, f"{r:.2f}") for p, r in zip(result.peers, result.ratios, strict=True)),
    ]
    for timing, ratio in rows:
        times = (timing.median, timing.fastest, timing.slowest)
        table.add_row(timing.name, *(f"{ms:.1f}" for ms in times), str(timing.steps), ratio)
    return table


def _define(values: flags.FlagValues):
    flags.DEFINE_multi_string(
        "case", None, "which training step to time; all if not given", flag_values=values
    )
    flags.DEFINE_multi_string(
        "peer",
        [],
        "another program to compare with: a Python file and its flags",
        flag_values=values,
    )
    flags.DEFINE_string("python", sys.executable, "interpreter of the peers", flag_values=values)
    flags.DEFINE_integer("steps", 40, "training steps in a turn", flag_values=values)
    flags.DEFINE_integer("rounds", 3, "turns of each program", flag_values=values)
    flags.DEFINE_integer("cpu_devices", 0, "virtual CPU devices; 0: one a core", flag_values=values)
    flags.DEFINE_string("json", None, "file to write the figures to", flag_values=values)
