"""The page says what the runs wrote, needs nothing else, and executes nothing that they wrote."""

import io
import json
from html.parser import HTMLParser

import numpy as np
import pytest
from rich.console import Console
from scipy import stats

from lmjax.errors import UserError
from lmjax.runs.environment import processor_name
from lmjax.studies.judging import arm_scores
from lmjax.studies.notes import study_notes
from lmjax.studies.report import write_report
from lmjax.studies.study import Arm, Tuning
from lmjax.studies.summary import summary_rows, terminal_summary
from lmjax.studies.tuning import Trial, write_tuning
from tests.studies.fake_runs import make_config, write_run

EVIL = "<script>alert('&')</script>"


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


def figures_of(page, title, arm):
    """The row of an arm in a table of a page, by column; a note beside the name is left out."""
    table = next(table for table in page.tables if table[0][0] == title)
    return next(
        dict(zip(table[0][1:], row[1:], strict=True)) for row in table[1:] if row[0].startswith(arm)
    )


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
    assert any(text.startswith("FLOPs: of the matrix products") for text in texts)


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


def test_no_verdict_by_validation_while_only_some_runs_have_a_test_score(tmp_path):
    write_study(tmp_path, {"A": [1.0, 1.1, 1.2], "B": [3.0, None, 3.2]})
    text = " ".join(read_page(tmp_path).texts)
    assert "while B has no score of the test split, which others have." in text
    assert "wins" not in text


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
        "best trial": "2.5000",
        "chosen": "learning_rate=0.1",
    }
    edge = "A: learning_rate=0.1 is the lowest that was tried; one beyond may be better."
    assert edge in page.texts
    said = "2 trials of 20 percent each, seed 0: training.learning_rate 0.1, 0.3."
    assert f"Tuned all trained arms alike: {said}" in page.texts


def test_an_unfinished_baseline_lends_its_name_to_nobodys_figure(tmp_path):
    write_study(tmp_path, {"Elman": [1.0], "LSTM": []}, baseline="LSTM", matched=["parameters"])
    write_run(make_config(), tmp_path / "arms" / "lstm" / "seed_0", finished=False)
    text = " ".join(read_page(tmp_path).texts)
    assert "Not known yet whether parameters match: LSTM is not finished." in text
    assert "in LSTM" not in text


def test_choices_that_are_not_finished_draw_no_verdict(tmp_path):
    write_study(tmp_path, {"n-gram": [], "B": [3.0, 3.1, 3.21]})
    for order, finished in ((2, True), (3, False)):
        path = tmp_path / "arms" / "n_gram" / f"order={order}" / "seed_0"
        write_run(make_config("ngram", order=order), path, test=1.0, finished=finished)
    text = " ".join(read_page(tmp_path).texts)
    assert "n-gram: order=3 not finished, so its choice may change." in text
    assert "No verdict is drawn while choices of n-gram are unfinished." in text


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


def test_a_choice_that_failed_draws_no_verdict(tmp_path):
    write_study(tmp_path, {"n-gram": [], "B": [3.0, 3.1, 3.21]})
    folder = tmp_path / "arms" / "n_gram"
    write_run(make_config("ngram", order=4), folder / "order=4" / "seed_0", test=1.0)
    (folder / "order=5" / "seed_0").mkdir(parents=True)
    (folder / "order=5" / "seed_0" / "error.txt").write_text("boom")
    text = " ".join(read_page(tmp_path).texts)
    assert "No verdict is drawn while a run of n-gram has failed." in text
    assert "wins" not in text


def test_a_choice_is_not_finished_before_all_its_seeds_are(tmp_path):
    write_study(tmp_path, {"A": [], "B": [3.0, 3.1, 3.21]})
    for cell, seeds in (("gru", (0, 1, 2)), ("lstm", (1,))):
        for seed in seeds:
            config = make_config(cell=cell)
            config.seed = seed
            path = tmp_path / "arms" / "a" / f"cell={cell}" / f"seed_{seed}"
            write_run(config, path, validation=2.0 if cell == "gru" else 1.0, test=1.0 + seed / 10)
    text = " ".join(read_page(tmp_path).texts)
    assert "A: validation chose cell=gru (bits per byte: cell=gru 2.0000)." in text
    assert "No verdict is drawn while choices of A are unfinished." in text


def test_a_runs_page_shows_its_text_processor_configuration_and_sample(tmp_path):
    write_run(make_config(cell="gru"), tmp_path / "run", sample="Go on")
    texts = read_page(tmp_path / "run").texts
    assert texts[texts.index("Corpus") + 1] == "python_docs"
    assert texts[texts.index("Tokenizer") + 1] == "byte"
    assert f"processor {processor_name()}" in texts[texts.index("Machine") + 1]
    assert texts[texts.index("model.cell") + 1] == "gru"
    assert "Go on" in texts


NAME = "A\x1b[2J\N{RIGHT-TO-LEFT OVERRIDE}\x07"


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
    assert "No verdict is drawn while a run of B has failed." in texts
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


def test_a_verdict_names_seeds_and_text(tmp_path):
    write_study(tmp_path, {"A": [1.0, 1.01, 1.02], "B": [3.0, 3.01, 3.02]}, segments=12)
    text = " ".join(read_page(tmp_path).texts)
    assert "and wins: B is 2.0000 ± 0.0227 above it" in text
    assert "Welch's t over n = 3 seeds and 12 segments of the text" in text


def test_segments_tell_the_score_with_the_spelling_of_unknowns(tmp_path):
    write_study(tmp_path, {"A": [1.0]}, segments=12)
    path = tmp_path / "arms" / "a" / "seed_0" / "results.json"
    results = json.loads(path.read_text())
    results["splits"]["test"]["segments"]["spelling_nats"] = [100 * np.log(2)] * 12
    path.write_text(json.dumps(results))
    study, _ = write_report(tmp_path)
    segments = arm_scores(study.arms[0], "test").segments
    assert segments.bits_G.sum() / segments.bytes_G.sum() == pytest.approx(1.0 + 1.0)


def test_scores_of_different_texts_are_not_compared(tmp_path):
    write_study(tmp_path, {"A": [1.0, 1.1, 1.2], "B": []})
    for seed in range(3):
        config = make_config()
        config.seed = seed
        write_run(config, tmp_path / "arms" / "b" / f"seed_{seed}", test=9.0, text="other")
    text = " ".join(read_page(tmp_path).texts)
    assert "No verdict is drawn: the arms were scored on different texts." in text


def test_what_arms_begin_with_is_said_where_it_differs(tmp_path):
    write_study(tmp_path, {"A": [1.0], "B": []})
    config = make_config()
    config.training.initial_params = "runs/base"
    write_run(config, tmp_path / "arms" / "b" / "seed_0")
    study, _ = write_report(tmp_path)
    (note,) = [note for note in study_notes(study) if "begin" in note]
    assert "A with parameters drawn at random, B with runs/base. Tokens, FLOPs" in note


def test_scores_of_different_kinds_are_never_ranked(tmp_path):
    """Arm B's figure is the lower one by far, of tokens that are known from both sides."""
    write_study(tmp_path, {"A": [1.0, 1.1, 1.2], "B": []})
    for seed in range(3):
        config = make_config()
        config.seed = seed
        path = tmp_path / "arms" / "b" / f"seed_{seed}"
        write_run(config, path, validation=0.1 + seed / 99, test=0.1, nats_of="masked_1_of_7")
    page = read_page(tmp_path)
    text = " ".join(page.texts)
    assert "No verdict is drawn: the arms' nats are of different kinds" in text
    assert "(A: causal; B: masked_1_of_7)" in text and "masked 1 of 7" in text
    study, _ = write_report(tmp_path)
    assert [row.figures["nats of"] for row in summary_rows(study)] == ["causal", "masked 1 of 7"]
    assert not any(row.is_winner for row in summary_rows(study))
    assert "B (masked_1_of_7)" in (tmp_path / "plots/validation_against_tokens.svg").read_text()


def test_of_causal_scores_the_kind_is_not_said(tmp_path):
    write_study(tmp_path, {"A": [1.0, 1.1]})
    study, _ = write_report(tmp_path)
    assert summary_rows(study)[0].figures["nats of"] == ""
    assert study.is_of_one_kind


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
