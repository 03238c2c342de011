"""Where the time of compiled programs goes: a trace, and its costliest operations."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import jax

MOST = 10  # operations that are told
# Events that enclose operations or wait for them, by how their names begin.
AROUND = ("while", "Thunk", "Threadpool", "Slinky", "Common", "Rendezvous", "Wait", "[", "end: ")


def costliest(
    run: Callable[[], object], times: int, folder: Path
) -> list[tuple[str, float, float]]:
    """`(operation, milliseconds a run, calls a run)` of the costliest ones, summed over threads.

    The trace is written below `folder`, for TensorBoard or Perfetto.
    """
    with jax.profiler.trace(str(folder)):
        for _ in range(times):
            run()
    newest = max(folder.rglob("*.xplane.pb"), key=lambda path: path.stat().st_mtime)
    spent, calls = Counter(), Counter()
    for plane in jax.profiler.ProfileData.from_file(str(newest)).planes:
        for line in plane.lines:
            for event in line.events:
                if line.name != "python" and not event.name.startswith(AROUND):
                    spent[event.name] += event.duration_ns / 1e6 / times
                    calls[event.name] += 1 / times
    return [(name, ms, calls[name]) for name, ms in spent.most_common(MOST)]
