"""`lmjax study`: tune and train every arm of a study, then write its report."""

import os

from absl import flags

from lmjax.cli.flags import define_workdir, parse
from lmjax.errors import UserError

FAILED = 1
PLACES = ("jobs", "slurm", "submitit")  # flags of which one says where runs are trained


def main(arguments: list[str]) -> int:
    """Runs the verb; returns the exit code, which is not zero if an arm failed."""
    values = parse(
        "study",
        "tune and train every arm of a study, show the plan before and write its report after; "
        "given again, it skips what is finished and resumes the rest",
        "lmjax study --study=experiments/quickstart.py --workdir=runs/quickstart",
        _define,
        arguments,
    )
    if values is None:
        return 0
    if not values.study:
        raise UserError("--study=FILE[:arg] is missing; try --study=experiments/quickstart.py")

    from lmjax.studies.conduct import show_plan, study

    if values.dry_run:
        from rich.console import Console

        show_plan(values.study, values.workdir, Console())
        return 0
    found = study(values.study, values.workdir, executor=_executor(values), retry=values.retry)
    return FAILED if found.failures else 0


def _executor(values: flags.FlagValues):
    """Where runs are trained; raises UserError for more than one place, or fewer than one run."""
    from lmjax.studies.executors import InTurn, Processes
    from lmjax.studies.slurm import SlurmScript, Submitit

    if values.jobs < 1 or values.replicas < 0:
        raise UserError("--jobs must be 1 or more, --replicas 1 or more, or 0 for all that fit")
    given = [f"--{name}" for name in PLACES if values[name].present]
    if len(given) > 1:
        raise UserError(f"{' and '.join(given)} name different places to train; give one of them")
    if values.slurm is not None:
        return SlurmScript(values.slurm, values.replicas)
    if values.submitit is not None:
        cluster, _, options = values.submitit.partition(":")
        return Submitit(cluster, options, values.replicas)
    if values.jobs > 1:
        # Else this process would keep most of a GPU's memory from those that train.
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
        return Processes(values.jobs, values.replicas)
    return InTurn(values.replicas)


def _define(values: flags.FlagValues):
    flags.DEFINE_string(
        "study",
        None,
        "study file, as FILE.py or FILE.py:argument, with get_study(argument)",
        flag_values=values,
    )
    flags.DEFINE_bool(
        "dry_run", False, "show the plan alone; train and write nothing", flag_values=values
    )
    flags.DEFINE_bool("retry", False, "train again what failed before", flag_values=values)
    flags.DEFINE_integer(
        "replicas",
        1,
        "most runs that one program trains together, where they differ in seed, learning rate, "
        "weight decay, dropout or first draw alone; 0: as many as memory has room for",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "jobs", 1, "processes that train side by side, sharing cores or GPUs", flag_values=values
    )
    flags.DEFINE_string(
        "slurm",
        None,
        "write a Slurm array of what is left and stop; the value is options of sbatch, as "
        "'--partition=gpu --time=2:00:00'",
        flag_values=values,
    )
    flags.DEFINE_string(
        "submitit",
        None,
        "submit what is left by submitit and wait: slurm or local, and after a colon options, as "
        "slurm:timeout_min=120,slurm_partition=gpu",
        flag_values=values,
    )
    define_workdir(values, "folder of the study; without it, one in runs/ with the study's name")
