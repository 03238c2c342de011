"""`lmjax doctor`: show what lmjax runs on, and what is wrong with it."""

import os
import shutil
from pathlib import Path

from lmjax.cli.flags import define_workdir, parse

ENOUGH_DISK = 2 * 2**30  # bytes


def main(arguments: list[str]) -> int:
    """Runs the verb; returns 0 if nothing is wrong, else 1."""
    values = parse(
        "doctor",
        "show versions, devices, memory and disk, and what is wrong with them",
        "lmjax doctor --workdir=runs/gpt",
        lambda values: define_workdir(values, "a folder to write a run to"),
        arguments,
    )
    if values is None:
        return 0
    from rich.console import Console
    from rich.table import Table

    from lmjax.data.cache import cache_directory
    from lmjax.runs.environment import environment

    found = environment()
    table = Table(show_header=False)
    for name, version in found["versions"].items():
        table.add_row(name, version or "missing")
    for index, device in enumerate(found["devices"]):
        table.add_row(f"device {index}", device)
    table.add_row("cores", str(found["machine"]["cores"]))
    table.add_row("memory", _memory())
    table.add_row("public data sets", os.environ.get("LMJAX_DATA_DIR", "downloaded when needed"))
    wrong = [
        f"{name} is not installed" for name, version in found["versions"].items() if not version
    ]
    folders = [("cache", cache_directory()), ("workdir", Path(values.workdir or "runs"))]
    for name, folder in folders:
        standing = next(path for path in [folder, *folder.absolute().parents] if path.exists())
        free = shutil.disk_usage(standing).free
        table.add_row(name, f"{folder} ({free / 2**30:.1f} GiB free)")
        if not os.access(standing, os.W_OK):
            wrong.append(f"{standing} cannot be written to")
        if free < ENOUGH_DISK:
            wrong.append(f"{standing} has less than 2 GiB free")
    console = Console()
    console.print(table)
    for line in wrong:
        console.print(f"wrong: {line}", highlight=False)
    console.print("nothing is wrong" if not wrong else f"{len(wrong)} things are wrong")
    return 1 if wrong else 0


def _memory() -> str:
    if "SC_AVPHYS_PAGES" not in os.sysconf_names:
        return "unknown on this system"
    pages = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return f"{pages / 2**30:.1f} of {total / 2**30:.1f} GiB free"
