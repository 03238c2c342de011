"""A study from its plan to its report, in one call."""

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from lmjax.runs.devices import prepare_devices
from lmjax.runs.speed import product_flops_per_second
from lmjax.runs.terminal import say
from lmjax.studies.executors import Executor
from lmjax.studies.matching import match_study
from lmjax.studies.plan import plan_study
from lmjax.studies.plan_text import plan_text
from lmjax.studies.records import StudyRecord
from lmjax.studies.report import write_report
from lmjax.studies.runner import run_study
from lmjax.studies.study import Study, load_study
from lmjax.studies.summary import terminal_summary


@dataclass(frozen=True)
class StudyResult:
    """What a study found."""

    record: StudyRecord  # its arms, runs and scores, as read from the run directories
    page: Path  # report.html
    failures: list[str]  # a line for each run that failed; empty if all went well


def study(
    study: Study | str,
    workdir: Path | str | None = None,
    console: Console | None = None,
    *,
    executor: Executor | None = None,
    retry: bool = False,
) -> StudyResult:
    """Tunes and trains every arm of a study and writes its report.

    A study may be named by its file, `FILE.py[:argument]`. Without a `workdir` it lies in `runs/`,
    under the study's name. What is finished is skipped, a run that stopped goes on, and one that
    failed is trained again if `retry` says so. The `executor` says where runs are trained; without
    one, in turn. Raises UserError for a study that cannot be run, or a folder of another one;
    Stopped if a signal ends it before, or where a script is to be submitted.
    """
    console = console or Console()
    study, workdir = show_plan(study, workdir, console)
    failures = run_study(study, workdir, console=console, executor=executor, retry=retry)
    record, page = write_report(workdir)
    console.print(terminal_summary(record))
    say(console, f"\nreport: {page}")
    return StudyResult(record, page, failures)


def show_plan(
    study: Study | str, workdir: Path | str | None, console: Console
) -> tuple[Study, Path]:
    """The study with its arms matched, and its folder, after its plan was shown.

    Nothing is trained, and nothing written but what caches keep of texts. Raises UserError as
    `study`.
    """
    study = load_study(study) if isinstance(study, str) else study
    workdir = Path(workdir or f"runs/{study.name}")
    # Matching sizes would otherwise make jax settle for one CPU device.
    prepare_devices(study.arms[0].config.execution.cpu_devices)
    study = match_study(study)
    plans = plan_study(study, workdir)
    console.print(plan_text(study, plans, product_flops_per_second()))
    return study, workdir
