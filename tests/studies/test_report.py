"""The page says what the runs wrote, needs nothing else, and executes nothing that they wrote."""

import json
import math
from html.parser import HTMLParser

import pytest

from lmjax.errors import UserError
from lmjax.studies.report import write_report
from lmjax.studies.study import Arm
from tests.studies.fake_runs import make_config, write_run

EVIL = "<script>alert('&')</script>"


class Page(HTMLParser):
    """What a browser would find in a page."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.links, self.texts = [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.links += [value for name, value in attributes if name in ("href", "src")]

    def handle_data(self, data):
        if data.strip():
            self.texts.append(data.strip())


def write_study(workdir, scores, **fields):
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
            write_run(config, path, test=score, sample=f"Go {name}")


def read_page(workdir):
    _, path = write_report(workdir)
    return Page(path.read_text(encoding="utf-8"))


def test_nothing_that_a_run_wrote_is_taken_as_html(tmp_path):
    write_study(tmp_path, {f"A {EVIL}": [1.0], "B": [2.0]}, question=EVIL, name=EVIL, prompt=EVIL)
    page = read_page(tmp_path)
    assert "script" not in page.tags
    text = " ".join(page.texts)
    assert text.count(EVIL) >= 5


def test_the_page_needs_no_other_file(tmp_path):
    write_study(tmp_path, {"A": [1.0], "B": [2.0]})
    page = read_page(tmp_path)
    assert page.tags.count("svg") == 3
    assert not {"img", "link", "iframe", "object"} & set(page.tags)
    files = [link for link in page.links if not link.startswith("#")]
    assert sorted(files) == sorted(f"plots/{path.name}" for path in (tmp_path / "plots").iterdir())


def test_the_table_holds_each_arms_results(tmp_path):
    write_study(tmp_path, {"A": [1.23456], "B": [2.0]})
    texts = read_page(tmp_path).texts
    row = texts[texts.index("A") : texts.index("B")]
    assert row == ["A", "1,000", "200", "2.0000", "1.2346", "64", "15.0"]


def test_seeds_make_a_mean_with_an_interval_and_a_verdict(tmp_path):
    write_study(tmp_path, {"A": [1.0, 1.1, 1.2], "B": [3.0, 3.1, 3.21]})
    page = read_page(tmp_path)
    assert "1.1000" in page.texts
    assert "± 0.2484" in page.texts  # t(0.975, 2) x 0.1 / sqrt(3)
    assert any("A has the lowest mean test bits per byte" in text for text in page.texts)
    assert any("and wins" in text for text in page.texts)
    assert page.texts[page.texts.index("A") + 1] == "winner"


def test_one_seed_draws_no_verdict(tmp_path):
    write_study(tmp_path, {"A": [1.0], "B": [3.0]})
    text = " ".join(read_page(tmp_path).texts)
    assert "n = 1: no verdict is drawn" in text
    assert "wins" not in text


def test_a_counted_arm_stands_for_every_seed(tmp_path):
    write_study(tmp_path, {"n-gram": [], "B": [3.0, 3.1, 3.21]})
    write_run(make_config("ngram"), tmp_path / "arms" / "n_gram" / "seed_0", test=1.0)
    assert "n-gram has the lowest" in (text := " ".join(read_page(tmp_path).texts))
    assert "and wins" in text


def test_no_verdict_while_a_seed_has_failed(tmp_path):
    write_study(tmp_path, {"A": [2.00, 2.01, 2.02, 4.0], "B": [2.20, 2.215, 2.22]})
    (tmp_path / "arms" / "b" / "seed_3").mkdir()
    (tmp_path / "arms" / "b" / "seed_3" / "error.txt").write_text("out of memory")
    texts = read_page(tmp_path).texts
    assert "No verdict is drawn while B has no result of seed 3." in texts
    assert "B failed: seed_3: out of memory." in texts
    assert "wins" not in " ".join(texts)


def test_no_verdict_while_a_seed_is_not_finished(tmp_path):
    write_study(tmp_path, {"A": [1.0, 1.1, 1.2], "B": [3.0, 3.1, 3.2]})
    (tmp_path / "study.json").unlink()
    config = make_config(cell="gru")
    config.seed = 7
    write_run(config, tmp_path / "arms" / "b" / "seed_7", finished=False)
    text = " ".join(read_page(tmp_path).texts)
    assert "No verdict is drawn while arms/a has no result of seed 7" in text


def test_a_damaged_run_is_listed_and_the_others_are_reported(tmp_path):
    write_study(tmp_path, {"A": [1.0, 1.1, 1.2], "B": [3.0, 3.1, 3.2]})
    file = tmp_path / "arms" / "b" / "seed_1" / "results.json"
    file.write_text(file.read_text()[:-9])
    for study_file in (True, False):
        if not study_file:
            (tmp_path / "study.json").unlink()
        text = " ".join(read_page(tmp_path).texts)
        assert "1.1000 ± 0.2484" in text
        assert "3.1000" in text
        assert "B has a damaged run" in text or "arms/b has a damaged run" in text
        assert "seed_1/results.json is not valid JSON" in text
        assert "B is damaged." in text or "arms/b is damaged." in text
        assert "wins" not in text


def test_a_damaged_run_alone_is_refused(tmp_path):
    write_run(make_config(), tmp_path / "run")
    (tmp_path / "run" / "results.json").write_text("{")
    with pytest.raises(UserError, match="not valid JSON"):
        write_report(tmp_path / "run")


def test_a_verdict_names_seeds_and_text(tmp_path):
    write_study(tmp_path, {"A": [1.0, 1.01, 1.02], "B": [3.0, 3.01, 3.02]})
    for path in sorted(tmp_path.rglob("results.json")):
        results = json.loads(path.read_text())
        score = results["splits"]["test"]
        nats = [score["bits_per_byte"] * 100 * math.log(2)] * 12
        score["segments"] = {"nats": nats, "tokens": [30] * 12, "bytes": [100] * 12}
        path.write_text(json.dumps(results))
    text = " ".join(read_page(tmp_path).texts)
    assert "and wins: B is 2.0000 ± 0.0227 above it" in text
    assert "Welch's t over n = 3 seeds and 12 segments of the text" in text


def test_scores_of_different_texts_are_not_compared(tmp_path):
    write_study(tmp_path, {"A": [1.0, 1.1, 1.2], "B": []})
    for seed in range(3):
        config = make_config()
        config.seed = seed
        write_run(config, tmp_path / "arms" / "b" / f"seed_{seed}", test=9.0, text="other")
    text = " ".join(read_page(tmp_path).texts)
    assert "No verdict is drawn: the arms were scored on different texts." in text


def test_what_was_to_match_and_does_not_is_said(tmp_path):
    fields = {"baseline": "A", "matched": ["parameters", "training_tokens"]}
    write_study(tmp_path, {"A": [1.0], "B": []}, **fields)
    write_run(make_config(), tmp_path / "arms" / "b" / "seed_0", parameters=1100)
    text = " ".join(read_page(tmp_path).texts)
    assert "NOT matched: parameters, 1,000 in A, others within 10.00% of it." in text
    assert "Matched: training tokens, 3,000 in A, others within 0.00% of it." in text


def test_an_unfinished_and_a_failed_arm_are_shown_as_such(tmp_path):
    write_study(tmp_path, {"A": [1.0], "B": [], "C": []})
    write_run(make_config(), tmp_path / "arms" / "b" / "seed_0", finished=False)
    (tmp_path / "arms" / "c" / "seed_0").mkdir(parents=True)
    (tmp_path / "arms" / "c" / "seed_0" / "error.txt").write_text(f"boom {EVIL}\n\nTraceback")
    texts = read_page(tmp_path).texts
    assert texts[texts.index("B") + 1] == "not finished"
    assert texts[texts.index("C") + 1] == "failed"
    assert f"C failed: seed_0: boom {EVIL}." in texts


def test_only_the_keys_that_differ_are_shown(tmp_path):
    write_run(make_config(cell="gru", width=8), tmp_path / "a")
    other = make_config(cell="gru", width=16)
    other.seed = 7  # no matter of an arm
    write_run(other, tmp_path / "b")
    texts = read_page(tmp_path).texts
    start = texts.index("In what the configurations differ")
    end = texts.index("Where it ran")
    assert texts[start + 1 : end] == ["a", "model.width", "8", "b", "model.width", "16"]


def test_samples_stand_on_the_page_without_control_characters(tmp_path):
    run = tmp_path / "run"
    write_run(make_config(), run, sample="Go \x1b[31mon\x00\nand on")
    texts = read_page(run).texts
    assert "Go \N{REPLACEMENT CHARACTER}[31mon\N{REPLACEMENT CHARACTER}\nand on" in texts


def test_a_run_alone_and_a_folder_of_runs_have_reports_too(tmp_path):
    write_run(make_config(), tmp_path / "runs" / "one" / "seed_0")
    write_run(make_config("ngram"), tmp_path / "runs" / "deep" / "two")
    study, _ = write_report(tmp_path / "runs")
    assert [arm.name for arm in study.arms] == ["deep/two", "one"]
    study, page = write_report(tmp_path / "runs" / "one" / "seed_0")
    assert [arm.name for arm in study.arms] == ["one"]
    assert page.parent == tmp_path / "runs" / "one" / "seed_0"


def test_a_report_remakes_itself_alike(tmp_path):
    write_study(tmp_path, {"A": [1.0], "B": [2.0]})
    first = write_report(tmp_path)[1].read_bytes()
    assert write_report(tmp_path)[1].read_bytes() == first


@pytest.mark.parametrize("exists", [True, False])
def test_a_folder_without_runs_is_the_users_mistake(tmp_path, exists):
    folder = tmp_path / "empty"
    if exists:
        folder.mkdir()
    with pytest.raises(UserError, match="holds no run"):
        write_report(folder)
