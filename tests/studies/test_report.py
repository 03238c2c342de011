"""The page says what the runs wrote, needs nothing else, and executes nothing that they wrote."""

import io
import json

import numpy as np
import pytest
from rich.console import Console
from scipy import stats

from lmjax.errors import UserError
from lmjax.runs.environment import processor_name
from lmjax.studies.notes import study_notes
from lmjax.studies.reading import read_study
from lmjax.studies.report import write_report
from lmjax.studies.study import Arm, Tuning
from lmjax.studies.summary import summary_rows, terminal_summary
from lmjax.studies.tuning import Trial, write_tuning
from tests.studies.fake_runs import make_config, write_run
from tests.studies.fake_studies import figures_of, read_page, write_study

EVIL = "<script>alert('&')</script>"
NAME = "A\x1b[2J\N{RIGHT-TO-LEFT OVERRIDE}\x07"


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


def test_the_tables_hold_each_arms_results(tmp_path):
    write_study(tmp_path, {"A": [1.23456], "B": [2.0]}, segments=12, unknowns=1234)
    page = read_page(tmp_path)
    scores = figures_of(page, "Scores", "A")
    segments = np.resize([1.13456, 1.33456], 12)
    text = stats.t.ppf(0.975, 11) * stats.sem(segments)
    by_text = float(scores.pop("by text").removeprefix("± "))
    assert by_text == pytest.approx(text, rel=0.1)
    assert scores == {
        "seeds": "1",
        "validation bits/byte": "2.0000",
        "test bits/byte": "1.2346",
        "unknowns": "1,234, 1,234",
    }
    assert figures_of(page, "Models", "A") == {
        "parameters": "1,000",
        "non-embedding": "700",
        "context": "carried",
        "state bytes": "64",
    }
    assert figures_of(page, "Training", "A") == {
        "tokens": "3,000",
        "distinct tokens": "2,500",
        "FLOPs": "3e+07",
        "tokens/s": "200",
        "time": "15.0 s",
    }


def test_tokens_a_second_are_tokens_over_seconds_and_long_times_are_told_in_minutes(tmp_path):
    write_study(tmp_path, {"A": [1.0, 1.0]}, seconds=200.0)
    training = figures_of(read_page(tmp_path), "Training", "A")
    assert training["tokens/s"] == "15"  # the rows of the log say 200
    assert training["time"] == "3 min 20 s"


def test_what_flops_are_of_and_what_they_leave_out_is_said(tmp_path):
    write_study(tmp_path, {"A": [1.0]})
    path = tmp_path / "arms" / "a" / "seed_0" / "results.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"not_counted": ["fft", "sort"]}))
    texts = read_page(tmp_path).texts
    assert "A: FLOPs are without those of fft, sort." in texts
    assert any(text.startswith("FLOPs: of training: of matrix products") for text in texts)


def test_element_wise_flops_are_told_and_where_runs_lack_them_products_are_matched(tmp_path):
    fields = {"matched": ("training_flops",), "baseline": "A"}
    write_study(tmp_path, {"A": [1.0], "B": [1.0]}, **fields)
    first, second = (tmp_path / "arms" / arm / "seed_0" / "results.json" for arm in "ab")
    results = json.loads(second.read_text()) | {"training_elementwise_per_token": 1.1e3}
    second.write_text(json.dumps(results))
    notes = " ".join(study_notes(read_study(tmp_path)))
    assert "B: 10% of its FLOPs are done element by element" in notes and "A: 1%" not in notes
    assert "NOT matched: training flops" in notes and "within 10.00%" in notes
    results = json.loads(first.read_text())
    del results["training_elementwise_per_token"]
    first.write_text(json.dumps(results))
    notes = " ".join(study_notes(read_study(tmp_path)))
    assert "FLOPs are of matrix products and convolutions alone" in notes
    assert "Matched: training flops" in notes and "within 0.00%" in notes


def test_runs_of_older_versions_leave_blank_what_they_lack(tmp_path):
    write_study(tmp_path, {"A": [1.0]})
    for path in tmp_path.rglob("results.json"):
        results = json.loads(path.read_text())
        for score in results["splits"].values():
            del score["unknowns"], score["segments"]
        del results["training"]["distinct_tokens"], results["training_flops_per_token"]
        path.write_text(json.dumps(results))
    page = read_page(tmp_path)
    assert set(figures_of(page, "Training", "A")) == {"tokens", "tokens/s", "time"}
    assert "unknowns" not in figures_of(page, "Scores", "A")


def test_a_test_split_that_was_not_scored_is_left_out(tmp_path):
    write_study(tmp_path, {"A": [None, None, None], "B": [None, None, None]})
    page = read_page(tmp_path)
    assert "test bits/byte" not in figures_of(page, "Scores", "A")
    (text,) = (text for text in page.texts if "lowest mean validation bits per byte" in text)
    assert text.endswith("Judged by validation: no run has a score of a test split.")


def test_the_tuning_is_shown(tmp_path):
    write_study(tmp_path, {"A": [1.0], "B": [2.0]})
    tuning = Tuning({"training.learning_rate": (0.1, 0.3)}, "20 percent")
    trials = [
        Trial({"training.learning_rate": 0.1}, 2.5, 600),
        Trial({"training.learning_rate": 0.3}, None, 0, "diverged"),
    ]
    for name in "ab":
        write_tuning(tmp_path / "arms" / name / "seed_0", Arm(name, make_config()), tuning, trials)
    page = read_page(tmp_path)
    assert figures_of(page, "Choices by validation", "B") == {
        "trials": "2 (1 failed)",
        "tokens each": "600",
        "tuning tokens": "600",
        "best trial": "2.5000",
        "chosen": "learning_rate=0.1",
    }
    edge = "A: learning_rate=0.1 is the lowest that was tried; one beyond may be better."
    assert edge in page.texts
    said = "2 trials of 20 percent each, seed 0: training.learning_rate 0.1, 0.3."
    assert f"Tuned all trained arms alike: {said}" in page.texts


def test_a_choice_at_the_edge_of_those_tried_is_said(tmp_path):
    write_study(tmp_path, {"n-gram": [], "m-gram": []})
    for name, best in (("n_gram", 4), ("m_gram", 3)):
        for order in (2, 3, 4):
            path = tmp_path / "arms" / name / f"order={order}" / "seed_0"
            config = make_config("ngram", order=order)
            write_run(config, path, validation=1.0 if order == best else 2.0)
    text = " ".join(read_page(tmp_path).texts)
    assert "n-gram: order=4 is the highest that was tried; one beyond may be better." in text
    assert "m-gram: order" not in text


def test_a_runs_page_shows_its_text_processor_configuration_and_sample(tmp_path):
    write_run(make_config(cell="gru"), tmp_path / "run", sample="Go on")
    texts = read_page(tmp_path / "run").texts
    assert texts[texts.index("Corpus") + 1] == "python_docs"
    assert texts[texts.index("Tokenizer") + 1] == "byte"
    assert f"processor {processor_name()}" in texts[texts.index("Machine") + 1]
    assert texts[texts.index("model.cell") + 1] == "gru"
    assert "Go on" in texts


def test_control_characters_of_names_reach_neither_page_nor_plots_nor_terminal(tmp_path):
    write_study(tmp_path, {NAME: [1.0], "B": [2.0]}, question=NAME, name=NAME, baseline="B")
    write_run(make_config(cell="gru"), tmp_path / "runs" / NAME)
    for workdir in (tmp_path, tmp_path / "runs"):
        study, page = write_report(workdir)
        console = Console(width=80, file=io.StringIO(), force_terminal=True)
        console.print(terminal_summary(study))
        plots = "".join(path.read_text() for path in (workdir / "plots").glob("*.svg"))
        shown = page.read_text() + plots
        assert not {"\x1b", "\x07", "\N{RIGHT-TO-LEFT OVERRIDE}"} & set(shown)
        assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in console.file.getvalue()
        assert "\x1b[2J" not in console.file.getvalue()
        assert "A\N{REPLACEMENT CHARACTER}[2J" in shown


def test_a_terminal_of_80_columns_cuts_no_figure(tmp_path):
    name = "LSTM with attention and a long name"
    scores = {name: [1.23456, 1.3], "Transformer": [2.0, 2.5]}
    sizes = {"parameters": 1_234_567_890, "seconds": 12345.6, "unknowns": 123_456, "segments": 40}
    write_study(tmp_path, scores, baseline=name, **sizes)
    for path in tmp_path.rglob("results.json"):
        path.write_text(path.read_text().replace('"carried"', '"windowed_1024_stride_512"'))
        grid = {f"training.{field}": (0.12345,) for field in ("rate", "decay", "clip", "warmup")}
        trial = Trial({field: value for field, (value,) in grid.items()}, 2.5, 123_456_789)
        write_tuning(path.parent, Arm(name, make_config()), Tuning(grid), [trial])
    study, _ = write_report(tmp_path)
    console = Console(width=80, file=io.StringIO())
    console.print(terminal_summary(study))
    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    written = " ".join(console.file.getvalue().split())
    for row in summary_rows(study):
        for figure in row.figures.values():
            assert all(word in written for word in figure.split())
    assert "\N{HORIZONTAL ELLIPSIS}" not in written


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


def test_translations_have_a_row_for_each_decoding(tmp_path):
    write_study(tmp_path, {"A": [1.0, 1.1, 1.2]})
    for seed in range(3):
        path = tmp_path / "arms" / "a" / f"seed_{seed}" / "results.json"
        results = json.loads(path.read_text())
        measured = dict(bleu=20.0 + seed, chrf=40, bleu_signature="tok:<13a>", cleaning=["nfc"])
        results["translations"] = {"test": {"greedy": measured}}
        path.write_text(json.dumps(results))
    text = " ".join(read_page(tmp_path).texts)
    assert "A test greedy 21.00 ± 2.48 40.00 ± 0.00 tok:<13a>; cleaning: nfc" in text
    path.write_text(json.dumps({**results, "translations": {"test": {"greedy": {"bleu": "?"}}}}))
    text = " ".join(read_page(tmp_path).texts)
    assert "'translations.test.greedy.bleu' should be: number" in text
    assert "20.50" in text


def test_a_damaged_run_alone_is_refused(tmp_path):
    write_run(make_config(), tmp_path / "run")
    (tmp_path / "run" / "results.json").write_text("{")
    with pytest.raises(UserError, match="not valid JSON"):
        write_report(tmp_path / "run")


def test_what_arms_begin_with_is_said_where_it_differs(tmp_path):
    write_study(tmp_path, {"A": [1.0], "B": []})
    config = make_config()
    config.training.initial_params = "runs/base"
    write_run(config, tmp_path / "arms" / "b" / "seed_0")
    study, _ = write_report(tmp_path)
    (note,) = [note for note in study_notes(study) if "begin" in note]
    assert "A with parameters drawn at random, B with runs/base. Tokens, FLOPs" in note


def test_an_unfinished_and_a_failed_arm_are_shown_as_such(tmp_path):
    write_study(tmp_path, {"A": [1.0], "B": [], "C": []})
    write_run(make_config(), tmp_path / "arms" / "b" / "seed_0", finished=False)
    (tmp_path / "arms" / "c" / "seed_0").mkdir(parents=True)
    (tmp_path / "arms" / "c" / "seed_0" / "error.txt").write_text(f"boom {EVIL}\n\nTraceback")
    texts = read_page(tmp_path).texts
    assert texts[texts.index("B") + 1] == "not finished"
    assert texts[texts.index("C") + 1] == "failed"
    assert f"C failed: seed_0: boom {EVIL}." in texts


def test_fields_that_differ_stand_side_by_side_and_the_others_apart(tmp_path):
    write_run(make_config(cell="gru", width=8), tmp_path / "a")
    other = make_config(cell="gru", width=16)
    other.seed = 7  # no matter of an arm
    write_run(other, tmp_path / "b")
    page = read_page(tmp_path)
    tables = {table[0][0]: table for table in page.tables}
    assert tables["field"] == [["field", "a", "b"], ["model.width", "8", "16"]]
    assert "In what they are alike" in page.texts
    common = page.texts[page.texts.index("In what they are alike") :]
    assert "model.cell" in common and "model.width" not in common and "seed" not in common


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
