"""What a report says of arms beside the baseline: on the page, as text, in a plot and its CSV."""

import csv
import json
from xml.etree import ElementTree

import numpy as np
import pytest
from scipy import stats

from lmjax.studies.report import as_markdown, write_report
from tests.studies.fake_studies import figures_of, read_page, write_study

SCORES = {"Base": [2.0, 2.02, 2.05], "Low": [1.5, 1.58, 1.62], "Near": [2.0, 2.03, 2.01]}


def rows_of(markdown, title):
    """The rows of a table of a report as text, by the arm."""
    lines = markdown.splitlines()
    start = next(place for place, line in enumerate(lines) if line.startswith(f"| {title} |"))
    columns, rows = cells(lines[start])[1:], {}
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        name, *values = cells(line)
        rows[name] = dict(zip(columns, values, strict=True))
    return rows


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_table_has_differences_and_the_p_that_counts(tmp_path):
    write_study(tmp_path, SCORES, baseline="Base", segments=12)
    page = read_page(tmp_path)
    low = figures_of(page, "Beside the baseline", "Low")
    assert low["above it, bits/byte"].startswith("-0.4567 ± 0.")
    assert low["percent"] == "-22.57"
    assert low["finding"] == "better"
    assert figures_of(page, "Beside the baseline", "Near")["finding"] == "not told apart"
    more = figures_of(page, "More on the difference", "Low")
    assert more["p by seeds"] == "0.1 (≥ 0.1)"
    expected = stats.ttest_ind(SCORES["Low"], SCORES["Base"], equal_var=False).pvalue
    assert float(more["p"]) == pytest.approx(expected, rel=0.3)
    assert float(low["Holm's p"]) == pytest.approx(2 * float(more["p"]), rel=0.1)
    with pytest.raises(StopIteration):
        figures_of(page, "Beside the baseline", "Base")


def test_the_plot_shows_what_its_csv_and_the_table_say(tmp_path):
    write_study(tmp_path, SCORES, baseline="Base", segments=12)
    write_report(tmp_path)
    with open(tmp_path / "plots" / "beside_baseline.csv") as file:
        rows = {row["arm"]: row for row in csv.DictReader(file)}
    assert list(rows) == ["Low", "Near"]
    low = {name: float(rows["Low"][name]) for name in ("difference", "low", "high")}
    assert low["difference"] == pytest.approx(np.mean(SCORES["Low"]) - np.mean(SCORES["Base"]))
    assert low["low"] < low["difference"] < low["high"] < 0
    assert (rows["Low"]["baseline"], rows["Low"]["split"]) == ("Base", "test")
    svg = (tmp_path / "plots" / "beside_baseline.svg").read_text()
    texts = [node.text for node in ElementTree.fromstring(svg).iter() if node.text]
    half_width = (low["high"] - low["low"]) / 2
    assert f"{low['difference']:+.4f} ± {half_width:.4f}" in texts
    assert "test bits per byte above Base: left of the line is better" in texts
    assert (tmp_path / "plots" / "beside_baseline.png").read_bytes().startswith(b"\x89PNG")


def test_the_text_has_the_figures_of_the_page(tmp_path):
    write_study(tmp_path, SCORES, baseline="Base", segments=12)
    page = read_page(tmp_path)
    markdown = (tmp_path / "report.md").read_text()
    for title in ("Scores", "Beside the baseline", "More on the difference", "Training"):
        for name, figures in rows_of(markdown, title).items():
            name = name.partition(" (")[0]
            shown = figures_of(page, title, name)
            assert {c: v.replace(" ", "") for c, v in shown.items()} == {
                c: v.replace(" ", "").replace("\\", "") for c, v in figures.items()
            }
    (verdict,) = (text for text in page.texts if "lowest mean" in text)
    assert verdict in markdown
    assert "![differences from the baseline" in markdown


def test_what_a_run_wrote_is_no_markup_in_the_text(tmp_path):
    evil = "a|b <img src=x> [l](javascript:1) *c* `d`\n# e"
    write_study(tmp_path, {evil.replace("\n", " "): [1.0], "B": [2.0]}, question=evil, prompt="# ")
    write_report(tmp_path)
    lines = (tmp_path / "report.md").read_text().splitlines()
    assert not any("<img" in line.replace("\\<img", "") for line in lines if line[:4] != "    ")
    assert lines[0] == f"# {as_markdown(evil)}"
    assert as_markdown("a|b *c*\n# <e> &") == r"a\|b \*c\* \# \<e\> &amp;"


@pytest.mark.parametrize("baseline", ["", "Nobody"])
def test_without_a_baseline_nothing_is_compared_with_it(tmp_path, baseline):
    write_study(tmp_path, SCORES, baseline=baseline)
    assert "Beside the baseline" not in read_page(tmp_path).texts
    assert not (tmp_path / "plots" / "beside_baseline.csv").exists()


def test_while_runs_are_missing_differences_are_shown_and_not_judged(tmp_path):
    write_study(tmp_path, SCORES, baseline="Base", segments=12, seeds=[0, 1, 2, 3])
    low = figures_of(read_page(tmp_path), "Beside the baseline", "Low")
    assert low["finding"] == "not judged"
    assert "Holm's p" not in low  # of no arm, so that the column is left out


def test_one_seed_has_a_difference_and_neither_interval_nor_finding(tmp_path):
    write_study(tmp_path, {"Base": [2.0], "Low": [1.0]}, baseline="Base", segments=12)
    low = figures_of(read_page(tmp_path), "Beside the baseline", "Low")
    assert low == {"above it, bits/byte": "-1.0000", "percent": "-50.00", "finding": "not judged"}


def test_the_command_makes_the_study_anew(tmp_path):
    write_study(tmp_path, {"A": [1.0]}, reference="experiments/my studies.py:small")
    command = "lmjax study '--study=experiments/my studies.py:small' --workdir=runs/small"
    assert command in read_page(tmp_path).texts
    assert f"    {command}" in (tmp_path / "report.md").read_text().splitlines()
    (tmp_path / "study.json").unlink()
    assert "lmjax study" not in " ".join(read_page(tmp_path).texts)


def test_perplexities_are_shown_where_all_arms_have_the_same_tokens(tmp_path):
    write_study(tmp_path, {"A": [1.0, 1.1], "B": [2.0, 2.1]})

    def tokenize(fingerprints):
        for arm, fingerprint in fingerprints.items():
            for path in (tmp_path / "arms" / arm).rglob("results.json"):
                results = json.loads(path.read_text())
                for score in results["splits"].values():
                    score |= {"perplexity": 50.0, "fingerprint": f"text-{fingerprint}"}
                path.write_text(json.dumps(results))

    tokenize({"a": "words", "b": "words"})
    page = read_page(tmp_path)
    assert figures_of(page, "Perplexity", "A")["test perplexity"] == "50.00 ± 0.00"
    tokenize({"b": "bytes"})
    page = read_page(tmp_path)
    assert "50.00" not in " ".join(page.texts)
    assert "50.00" not in (tmp_path / "report.md").read_text()
    assert any(text.startswith("Tokenizers differ") for text in page.texts)
