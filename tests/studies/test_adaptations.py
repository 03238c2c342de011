"""Scores that adapted to the text have a section of the report of their own, and no verdict."""

import json

import pytest
from rich.console import Console

from lmjax.errors import UserError
from lmjax.studies.adaptations import adaptation_rows
from lmjax.studies.reading import read_study
from lmjax.studies.report import write_report
from lmjax.studies.summary import terminal_summary
from tests.studies.fake_runs import make_config, write_run


@pytest.fixture
def folder(tmp_path):
    for seed in range(2):
        config = make_config()
        config.seed = seed
        path = tmp_path / "lstm" / f"seed_{seed}"
        write_run(config, path, validation=2.2 + seed, test=2.5 + seed)
        results = json.loads((path / "results.json").read_text())
        score = {
            **results["splits"]["test"],
            "context": "carried_unigram_cache_200",
            "bits_per_byte": 1.5 + seed,
        }
        cache = {"weight": 0.1, "length": 100 * (1 + seed), "splits": {"test": score}}
        results["adapted"] = {"unigram_cache": cache}
        (path / "results.json").write_text(json.dumps(results))
    return tmp_path


def test_they_stand_apart(folder):
    (row,) = adaptation_rows(read_study(folder))
    assert (row.arm, row.split, row.context) == ("lstm", "test", "carried, unigram cache")
    assert row.adapted.startswith("2.0000 ± ") and row.unadapted.startswith("3.0000 ± ")
    assert row.chosen == "the last 100, 200, weight 0.100"
    study, page = write_report(folder)
    for path in (page, folder / "report.md"):
        section = path.read_text().partition("Adapted to the text")[2]
        assert "2.0000" in section and "the last 100, 200, weight 0.100" in section
        assert "2.0000" not in path.read_text().partition("Learning curves")[0]
    console = Console(width=200)
    with console.capture() as captured:
        console.print(terminal_summary(study))
    assert "lstm, test: 2.0000 ± 6.3531 with a cache of the last 100, 200" in captured.get()


def test_without_any_there_is_no_section(tmp_path):
    write_run(make_config(), tmp_path / "run")
    study, page = write_report(tmp_path / "run")
    assert adaptation_rows(study) == [] and "Adapted to the text" not in page.read_text()


def test_damaged_ones_are_named(folder):
    path = folder / "lstm" / "seed_0" / "results.json"
    results = json.loads(path.read_text())
    results["adapted"]["unigram_cache"]["weight"] = "much"
    path.write_text(json.dumps(results))
    (study,) = read_study(folder).arms
    assert "'adapted.unigram_cache.weight' should be: number" in study.damaged[0]
    (folder / "lstm" / "seed_1" / "results.json").unlink()
    with pytest.raises(UserError, match=r"adapted.unigram_cache.weight"):
        read_study(folder / "lstm" / "seed_0")
