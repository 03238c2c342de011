"""Short without LMJAX_TORTURE=full; then also long, and with a scorecard at the end."""

import os
import time
from pathlib import Path

import pytest

from tests.torture.runs import Experiment, shared
from tests.torture.scorecard import Row, to_markdown

FULL = os.environ.get("LMJAX_TORTURE") == "full"


@pytest.fixture(scope="session")
def full() -> bool:
    """Whether all is to be tried, and not a sample of it."""
    return FULL


@pytest.fixture(scope="session")
def experiment(tmp_path_factory) -> Experiment:
    """What is trained, with its uninterrupted runs: one of each family for all test processes."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = base / "torture"
    with shared(folder):
        return Experiment.begun(folder)


@pytest.fixture
def scorecard(request):
    """`scorecard(line, trials, failures, note)`: writes a row; the test fails if any trial did."""
    start = time.monotonic()

    def write(line: str, trials: int, failures: list[str], note: str = "") -> None:
        row = Row(line, trials, len(failures), time.monotonic() - start, note)
        request.node.user_properties.append(("scorecard", row.to_json()))
        assert not failures, "\n".join(failures)
        assert trials, "nothing was tried"

    return write


def pytest_terminal_summary(terminalreporter):
    if not FULL:
        return
    reports = [
        report
        for outcome in ("passed", "failed", "skipped")
        for report in terminalreporter.getreports(outcome)
        if getattr(report, "when", "call") == "call"
    ]
    rows = [
        Row(**value)
        for report in reports
        for name, value in report.user_properties
        if name == "scorecard"
    ]
    path = Path(os.environ.get("LMJAX_SCORECARD", "runs/torture/scorecard.md"))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(to_markdown(rows), encoding="utf-8")
    terminalreporter.section("scorecard")
    terminalreporter.write(to_markdown(rows))
