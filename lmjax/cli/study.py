"""`lmjax study`: tune and train every arm of a study, then write its report."""

from pathlib import Path

from absl import flags

from lmjax.cli.flags import define_workdir, parse
from lmjax.errors import UserError

FAILED = 1


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

    from rich.console import Console

    from lmjax.runs.devices import prepare_devices
    from lmjax.studies.matching import match_study
    from lmjax.studies.plan import plan_study, plan_text
    from lmjax.studies.report import write_report
    from lmjax.studies.runner import run_study
    from lmjax.studies.study import load_study
    from lmjax.studies.summary import terminal_summary

    console = Console()
    study = load_study(values.study)
    workdir = Path(values.workdir or f"runs/{study.name}")
    # Matching sizes would otherwise make jax settle for one CPU device.
    prepare_devices(study.arms[0].config.execution.cpu_devices)
    study = match_study(study)
    console.print(plan_text(study, plan_study(study)))
    failures = run_study(study, workdir, console=console)
    record, page = write_report(workdir)
    console.print(terminal_summary(record))
    print(f"\nreport: {page}")
    return FAILED if failures else 0


def _define(values: flags.FlagValues):
    flags.DEFINE_string(
        "study",
        None,
        "study file, as FILE.py or FILE.py:argument, with get_study(argument)",
        flag_values=values,
    )
    define_workdir(values, "folder of the study; without it, one in runs/ with the study's name")
