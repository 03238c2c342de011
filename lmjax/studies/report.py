"""The report of a study, made from run directories alone: a page that needs nothing else, and text.

`report.md` has the figures of `report.html`; `plots/` has the numbers of each plot.
"""

import re
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from lmjax.runs.files import write_atomically
from lmjax.runs.terminal import printable
from lmjax.studies import best_of, forest, isoflop, lengths, plots
from lmjax.studies.adaptations import adaptation_rows
from lmjax.studies.answers import Answers, confusion_pictures, kept_answers, task_tables
from lmjax.studies.judging import judged_split, study_comparisons, study_verdict
from lmjax.studies.notes import study_notes
from lmjax.studies.reading import read_study
from lmjax.studies.records import StudyRecord
from lmjax.studies.study import flatten
from lmjax.studies.summary import study_samples, summary_rows
from lmjax.studies.tables import shown_tables
from lmjax.studies.translations import alignment_pictures, translation_rows

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
    arms = study.arms
    if not study.is_of_one_kind:
        arms = [replace(arm, name=f"{arm.name} ({', '.join(arm.nats_of)})") for arm in arms]
    drawn = plots.write_plots(arms, workdir / "plots", study.loss)
    beside = forest.write_forest(
        study_comparisons(study),
        study.baseline,
        judged_split(study),
        [arm.name for arm in study.arms],
        workdir / "plots",
        study.loss,
    )
    scaling = isoflop.write_scaling(study, judged_split(study), workdir / "plots")
    best = best_of.write_best_of(study, workdir / "plots")
    by_length = lengths.write_lengths(arms, workdir / "plots")
    kept = kept_answers(study)
    confusions = confusion_pictures(kept, workdir / "plots")
    contents = report_contents(study, drawn, beside, scaling, best, by_length, kept, confusions)
    path = workdir / "report.html"
    write_atomically(path, render("report.html.jinja", contents))
    write_atomically(path.with_suffix(".md"), render("report.md.jinja", contents))
    return study, path


def render(template: str, contents: Mapping[str, Any]) -> str:
    """The page or the text; all but the plots is escaped."""
    return _template(template).render(contents)


@cache
def _template(name: str) -> Template:
    environment = Environment(
        loader=PackageLoader("lmjax.studies", "."),
        autoescape="html" in name,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["markdown"] = as_markdown
    return environment.get_template(name)


def as_markdown(text: str) -> str:
    """A text that stands in a line or a cell of Markdown as it is."""
    escaped = re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", " ".join(str(text).split()))
    return escaped.replace("&", "&amp;")


def report_contents(
    study: StudyRecord,
    drawn: Mapping[str, str],
    beside: str,
    scaling: isoflop.Scaling | None,
    best: best_of.BestOf | None,
    by_length: str = "",
    kept: Sequence[Answers | None] = (),
    confusions: Sequence[tuple[str, str]] = (),
) -> dict[str, Any]:
    """What a report says; of the plots `drawn` by axis, `beside` the baseline and `by_length`, it
    is given the SVG.
    """
    rows = summary_rows(study)
    return dict(
        study=study,
        tables=shown_tables(rows, study.loss),
        rows=rows,
        verdict=study_verdict(study),
        notes=study_notes(study),
        colors=[plots.arm_look(index)["color"] for index in range(len(study.arms))],
        plots=[(axis, plots.AXES[axis], inline_svg(svg)) for axis, svg in drawn.items()],
        beside=inline_svg(beside) if beside else "",
        beside_name=forest.NAME,
        scaling=scaling,
        scaling_svg=inline_svg(scaling.svg) if scaling else "",
        best_of=best,
        best_of_svg=inline_svg(best.svg) if best else "",
        best_of_name=best_of.NAME,
        lengths_svg=inline_svg(by_length) if by_length else "",
        lengths_name=lengths.NAME,
        lengths_caption=lengths.CAPTION,
        task_tables=task_tables(study),
        answers=[of_arm for of_arm in kept if of_arm],
        confusions=confusions,
        command=study_command(study),
        adaptations=adaptation_rows(study),
        translations=translation_rows(study),
        alignments=alignment_pictures(study),
        samples=study_samples(study),
        differences=config_differences(study),
        common=common_config(study),
        text=text_facts(study),
        environment=environment_facts(study),
    )


def study_command(study: StudyRecord) -> str:
    """The command that makes the study anew; empty if it was not taken from a file."""
    if not study.reference:
        return ""
    arguments = f"--study={study.reference}", f"--workdir=runs/{study.name}"
    return shlex.join(("lmjax", "study", *arguments))


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
    """By field, the values of the arms of which the configurations are not all alike."""
    configs = _configs(study)
    return {
        name: {arm: config[name] for arm, config in configs.items() if name in config}
        for name in sorted({name for config in configs.values() for name in config})
        if len({config.get(name) for config in configs.values()}) > 1
    }


def common_config(study: StudyRecord) -> dict[str, str]:
    """The fields, beside the seed, that all arms have and in which they are alike."""
    configs = list(_configs(study).values())
    return {
        name: value
        for name, value in (configs[0] if configs else {}).items()
        if all(config.get(name) == value for config in configs)
    }


def _configs(study: StudyRecord) -> dict[str, dict[str, str]]:
    configs = {arm.name: flatten(arm.runs[0].config) for arm in study.arms if arm.runs}
    return {
        arm: {name: printable(str(value)) for name, value in config.items() if name != "seed"}
        for arm, config in configs.items()
    }


def text_facts(study: StudyRecord) -> dict[str, str]:
    """Which text was read, and how; a fact that is not the same for all runs has several values."""
    facts: dict[str, dict[str, None]] = {"Corpus": {}, "Tokenizer": {}}
    for arm in study.arms:
        for run in arm.runs:
            data = run.config["data"]
            files = f" ({data['files']})" if data.get("files") else ""
            size = (
                f", at most {data['vocabulary_size']:,} entries" if data["vocabulary_size"] else ""
            )
            facts["Corpus"][f"{data['corpus']}{files}"] = None
            facts["Tokenizer"][f"{data['tokenizer']}{size}"] = None
    return {name: printable("; or ".join(values)) for name, values in facts.items() if values}


def environment_facts(study: StudyRecord) -> dict[str, str]:
    """Where the runs ran; a fact that is not the same for all of them has several values."""
    facts = {}
    for arm in study.arms:
        for run in arm.runs:
            for name, value in _facts(run.environment).items():
                facts.setdefault(name, {})[value] = None
    return {name: printable("; or ".join(values)) for name, values in facts.items()}


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
