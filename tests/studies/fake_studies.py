"""Study directories written by hand, and what a browser would find in their reports."""

import json
from html.parser import HTMLParser

from lmjax.studies.report import write_report
from lmjax.studies.study import Arm
from tests.studies.fake_runs import make_config, write_run


class Page(HTMLParser):
    """What a browser would find in a page."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.links, self.texts = [], [], []
        self.tables, self.in_cell = [], False  # of rows of cells
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
            self.in_cell = True
        self.links += [value for name, value in attributes if name in ("href", "src")]

    def handle_data(self, data):
        if data.strip():
            self.texts.append(data.strip())
            if self.in_cell:
                self.tables[-1][-1][-1] = f"{self.tables[-1][-1][-1]} {data.strip()}".strip()

    def handle_endtag(self, tag):
        self.in_cell = self.in_cell and tag not in ("td", "th")


def write_study(
    workdir, scores, *, segments=0, unknowns=0, seconds=15.0, parameters=1000, **fields
):
    """A study directory with the arms and seeds of `scores[arm][seed]`, all of them finished."""
    study = {"name": "small", "question": "Which?", "baseline": "", "matched": [], "prompt": "Go "}
    study["seeds"] = list(range(max(map(len, scores.values()), default=0)))
    study["arms"] = [(name, Arm(name, make_config()).folder) for name in scores]
    workdir.mkdir(parents=True, exist_ok=True)
    (workdir / "study.json").write_text(json.dumps(study | fields))
    for name, by_seed in scores.items():
        for seed, score in enumerate(by_seed):
            config = make_config(cell="gru")
            config.seed = seed
            path = workdir / "arms" / Arm(name, config).folder / f"seed_{seed}"
            write_run(
                config,
                path,
                test=score,
                sample=f"Go {name}",
                segments=segments,
                unknowns=unknowns,
                seconds=seconds,
                parameters=parameters,
            )


def read_page(workdir):
    _, path = write_report(workdir)
    return Page(path.read_text(encoding="utf-8"))


def figures_of(page, title, arm):
    """The row of an arm in a table of a page, by column; a note beside the name is left out."""
    table = next(table for table in page.tables if table[0][0] == title)
    return next(
        dict(zip(table[0][1:], row[1:], strict=True)) for row in table[1:] if row[0].startswith(arm)
    )
