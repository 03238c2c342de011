"""The report of a study: one HTML file that needs nothing else, made from run directories alone."""

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from lmjax.runs.files import write_atomically
from lmjax.studies import plots
from lmjax.studies.judging import study_verdict
from lmjax.studies.records import StudyRecord, read_study
from lmjax.studies.study import flatten
from lmjax.studies.summary import COLUMNS, study_notes, study_samples, summary_rows

# What of the plots' colours follows the page from light to dark.
PAGE_COLORS = {
    plots.PAPER: "var(--page)",
    plots.INK: "var(--ink)",
    plots.MUTED: "var(--muted)",
    plots.GRID: "var(--line)",
}


def write_report(workdir: Path) -> tuple[StudyRecord, Path]:
    """Writes `report.html` and `plots/` into `workdir`; returns what was read and the page's path.

    Raises UserError if `workdir` holds neither a study nor a run.
    """
    study = read_study(workdir)
    drawn = plots.write_plots(study.arms, workdir / "plots")
    path = workdir / "report.html"
    write_atomically(path, render(study, drawn))
    return study, path


def render(study: StudyRecord, drawn: Mapping[str, str]) -> str:
    """The page as text, with the plots `drawn` as SVG by axis; everything else is escaped."""
    environment = Environment(
        loader=PackageLoader("lmjax.studies", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.jinja").render(
        study=study,
        columns=COLUMNS,
        rows=summary_rows(study),
        verdict=study_verdict(study),
        notes=study_notes(study),
        colors=[plots.arm_look(index)["color"] for index in range(len(study.arms))],
        plots=[(axis, plots.AXES[axis], inline_svg(svg)) for axis, svg in drawn.items()],
        samples=study_samples(study),
        differences=config_differences(study),
        environment=environment_facts(study),
    )


def inline_svg(svg: str) -> Markup:
    """A plot to stand within the page: it takes the page's width, colours and font."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' id="[A-Za-z0-9.]+_\d+"', "", svg)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*" height="[^"]*"', r'\1 role="img"', svg, count=1)
    svg = re.sub(r"font-family: [^;\"]*", "font-family: inherit", svg)
    for color, variable in PAGE_COLORS.items():
        svg = svg.replace(color, variable)
    return Markup(svg)


def config_differences(study: StudyRecord) -> dict[str, dict[str, str]]:
    """By arm, the values of the configuration keys that are not the same for all arms."""
    configs = {arm.name: flatten(arm.runs[0].config) for arm in study.arms if arm.runs}
    keys = sorted({key for config in configs.values() for key in config} - {"seed"})
    differing = [
        key for key in keys if len({str(config.get(key)) for config in configs.values()}) > 1
    ]
    return {
        name: {key: str(config[key]) for key in differing if key in config}
        for name, config in configs.items()
        if differing
    }


def environment_facts(study: StudyRecord) -> dict[str, str]:
    """Where the runs ran; a fact that is not the same for all of them has several values."""
    facts = {}
    for arm in study.arms:
        for run in arm.runs:
            for name, value in _facts(run.environment).items():
                facts.setdefault(name, {})[value] = None
    return {name: "; or ".join(values) for name, values in facts.items()}


def _facts(environment: Mapping[str, Any]) -> dict[str, str]:
    if not environment:
        return {}
    versions, source = environment["versions"], environment["source"]
    devices = Counter(environment["devices"]).items()
    facts = {
        "Devices": ", ".join(f"{count} x {device}" for device, count in devices),
        "Machine": ", ".join(f"{name} {value}" for name, value in environment["machine"].items()),
        "Software": ", ".join(f"{name} {version or '-'}" for name, version in versions.items()),
    }
    if source:
        changed = ", with changes" if source["diff"] or source["untracked"] else ""
        facts["Source"] = f"commit {source['commit']}{changed}"
    if environment["resumed_in"]:
        facts["Resumed"] = "in another environment as well, see environment.json"
    return facts
