"""`lmjax study`: tune and train every arm of a study, then write its report."""

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

    from lmjax.studies.conduct import show_plan, study

    if values.dry_run:
        from rich.console import Console

        show_plan(values.study, values.workdir, Console())
        return 0
    return FAILED if study(values.study, values.workdir).failures else 0


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
    define_workdir(values, "folder of the study; without it, one in runs/ with the study's name")
