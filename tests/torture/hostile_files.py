"""Reads every hostile file and measures what comes of it.

python -m tests.torture.hostile_files          a table in Markdown
python -m tests.torture.hostile_files --json   the same for a test
"""

import contextlib
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from lmjax.errors import UserError
from tests.torture.hostile_cases import CASES, Case

ROOT = Path(__file__).parent.parent.parent
# Python, its packages, the system's libraries: what an import or a time zone may read.
SYSTEM = (sys.prefix, sys.base_prefix, "/usr", "/lib", "/proc/self", "/dev/null", str(ROOT))
EXECUTING = ("os.system", "os.exec", "os.posix_spawn", "os.fork", "pty.spawn", "subprocess.Popen")
EXECUTING += ("pickle.find_class", "socket.connect", "socket.bind")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Watch:
    """What the process opens or executes while it reads in `folder`, by an audit hook."""

    def __init__(self):
        self.folder: str | None = None
        self.events: list[str] = []
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple) -> None:
        if self.folder is None:
            return
        if event in EXECUTING:
            self.events.append(event)
        elif event in ("open", "os.scandir", "os.listdir") and isinstance(arguments[0], str | Path):
            path = os.path.abspath(arguments[0])
            writes = event == "open" and bool((arguments[2] or 0) & WRITING)
            allowed = (self.folder,) if writes else (self.folder, *SYSTEM)
            if not path.startswith(allowed):
                self.events.append(f"{event} {path}")


def measure(case: Case, folder: Path, watch: Watch) -> dict[str, Any]:
    """A row of the table: what came of reading a case, in what time and memory."""
    given = case.make(folder)
    before = _memory("VmRSS", reset=True)
    start = time.perf_counter()
    watch.folder, watch.events = str(folder), []
    try:
        with contextlib.redirect_stdout(sys.stderr):
            case.read(given)
        outcome, message = "read", ""
    except UserError as error:
        outcome, message = "refused", str(error).replace(f"{folder}/", "")
    except BaseException as error:  # a panic of a library in Rust is no Exception
        outcome, message = "CRASHED", f"{type(error).__name__}: {error}"
    watch.folder = None
    return {
        "reader": case.reader,
        "name": case.name,
        "outcome": outcome,
        "as_expected": outcome == ("read" if case.accepted else "refused"),
        "message": message,
        "seconds": time.perf_counter() - start,
        "peak_mb": max(0, _memory("VmHWM") - before) / 1e6,
        "events": watch.events,
    }


def measure_all(folder: Path) -> list[dict[str, Any]]:
    """The rows of all cases, each in a folder of its own beside one that nobody may open."""
    canary = folder / "canary"
    os.environ["LMJAX_CANARY"] = str(canary)
    (folder / "outside").mkdir()
    (folder / "outside" / "config.json").write_text("{}")
    (folder / "outside" / "secret.tokens").write_bytes(bytes(1600))
    watch, rows = Watch(), []
    for number, case in enumerate(CASES):
        place = folder / "cases" / str(number)
        place.mkdir(parents=True)
        row = measure(case, place, watch)
        rows.append({**row, "canary": canary.exists()})
    return rows


def to_markdown(rows: list[dict[str, Any]]) -> str:
    """The table, and a line of totals."""
    lines = ["| read as | file | outcome | seconds | peak MB |", "|---|---|---|---:|---:|"]
    lines += [
        f"| {row['reader']} | {row['name']} | {row['outcome']} "
        f"| {row['seconds']:.3f} | {row['peak_mb']:.0f} |"
        for row in rows
    ]
    executed = sum(bool(row["events"]) or row["canary"] for row in rows)
    wrong = sum(not row["as_expected"] for row in rows)
    lines += [
        "",
        f"{len(rows)} files: {wrong} with another outcome than they should have, {executed} that "
        f"executed or opened what they should not; at most "
        f"{max(row['seconds'] for row in rows):.2f} s and "
        f"{max(row['peak_mb'] for row in rows):.0f} MB.",
    ]
    return "\n".join(lines)


def _memory(field: str, *, reset: bool = False) -> int:
    """Resident bytes, now (VmRSS) or at their highest since the last reset (VmHWM); Linux alone."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    status = Path("/proc/self/status").read_text()
    return int(status.partition(f"{field}:")[2].split()[0]) * 1024


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    with tempfile.TemporaryDirectory() as temporary:
        table = measure_all(Path(temporary).resolve())
    print(json.dumps(table) if "--json" in sys.argv else to_markdown(table))
