"""Where the time of compiled programs goes: a trace, and its costliest operations."""

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

MOST = 10  # operations that are told
LONGEST = 72  # characters, the last ones, of where one comes from
OPERATION = re.compile(r"^ +(?:ROOT )?%(\S+) = ", re.MULTILINE)
ORIGIN = re.compile(r'%(\S+) = .*?op_name="([^"]*)"')
AROUND = ("while", "conditional", "call")  # how operations begin that others are part of


def costliest(
    run: Callable[[], object], times: int, folder: Path, program: str
) -> list[dict[str, Any]]:
    """A row for each of the costliest operations of `program`, HLO; times are summed over threads.

    The trace is written below `folder`, for TensorBoard or Perfetto.
    """
    with jax.profiler.trace(str(folder)):
        for _ in range(times):
            run()
    newest = max(folder.rglob("*.xplane.pb"), key=lambda path: path.stat().st_mtime)
    operations = {name for name in OPERATION.findall(program) if not name.startswith(AROUND)}
    spent, calls = Counter(), Counter()
    for plane in jax.profiler.ProfileData.from_file(str(newest)).planes:
        for line in plane.lines:
            for event in line.events:
                if event.name in operations:
                    spent[event.name] += event.duration_ns / 1e6 / times
                    calls[event.name] += 1 / times
    origins = dict(ORIGIN.findall(program))
    return [
        {
            "operation": name,
            "of": origins.get(name, "")[-LONGEST:],
            "ms a step": milliseconds,
            "calls a step": calls[name],
        }
        for name, milliseconds in spent.most_common(MOST)
    ]
