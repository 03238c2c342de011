"""What the documentation points to is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"\]\(([^)#]+)")
EXPERIMENT = re.compile(r"experiments/[\w/]+\.py")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_experiments_exist(page):
    text = page.read_text(encoding="utf-8")
    linked = [page.parent / link for link in LINK.findall(text) if "://" not in link]
    named = [ROOT / path for path in EXPERIMENT.findall(text)]
    assert [str(path) for path in linked + named if not path.exists()] == []


def test_the_readme_stays_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 140
