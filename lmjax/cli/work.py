"""`lmjax work`: train one group of runs that a study has prepared."""

import ctypes
import os
import signal
import sys
from pathlib import Path

from absl import flags

from lmjax.cli.flags import parse
from lmjax.errors import UserError

PARENT_DEATH_SIGNAL = 1  # of prctl: what a process is sent when the one that started it dies


def main(arguments: list[str]) -> int:
    """Runs the verb; returns the exit code. Runs that fail say so in their folders."""
    values = parse(
        "work",
        "train one group of runs that a study has prepared; what its processes and Slurm call",
        "lmjax work --jobs=runs/quickstart/slurm/jobs-1a2b3c4d.json --index=0",
        _define,
        arguments,
    )
    if values is None:
        return 0
    if not values.jobs:
        raise UserError("--jobs=FILE is missing: the list that `lmjax study --slurm` writes")
    if values.cores:
        try:
            os.sched_setaffinity(0, map(int, values.cores))
        except (OSError, ValueError) as error:
            raise UserError(f"--cores={','.join(values.cores)}: {error}; give numbers") from error
    if values.with_parent and sys.platform == "linux":
        ctypes.CDLL(None).prctl(PARENT_DEATH_SIGNAL, signal.SIGTERM)

    from rich.console import Console

    from lmjax.studies.work import read_job, train_folders

    train_folders(read_job(Path(values.jobs), values.index), Console())
    return 0


def _define(values: flags.FlagValues):
    flags.DEFINE_string("jobs", None, "file that lists groups of folders", flag_values=values)
    flags.DEFINE_integer("index", 0, "which of the groups, from 0", flag_values=values)
    flags.DEFINE_list("cores", [], "numbers of the only cores to be used", flag_values=values)
    flags.DEFINE_bool(
        "with_parent", False, "save and stop if the starting process dies", flag_values=values
    )
