"""`lmjax report`: write the report of a study, a run or a folder of runs."""

from absl import flags

from lmjax.cli.flags import define_workdir, parse, required_workdir


def main(arguments: list[str]) -> int:
    """Runs the verb; returns the exit code."""
    values = parse(
        "report",
        "write report.html and plots/ into the folder, from what its runs have written",
        "lmjax report --workdir=runs/quickstart",
        _define,
        arguments,
    )
    if values is None:
        return 0
    workdir = required_workdir(values)

    from rich.console import Console

    from lmjax.studies.report import write_report
    from lmjax.studies.summary import terminal_summary

    study, page = write_report(workdir)
    Console().print(terminal_summary(study))
    print(f"\nreport: {page}")
    return 0


def _define(values: flags.FlagValues):
    define_workdir(values, "folder of a study, of a run, or with runs at any depth")
