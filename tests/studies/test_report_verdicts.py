"""A report draws a verdict where there is one, and says in words why there is none elsewhere."""

import json

import numpy as np
import pytest

from lmjax.studies.judging import arm_scores
from lmjax.studies.report import write_report
from lmjax.studies.summary import summary_rows
from tests.studies.fake_runs import make_config, write_run
from tests.studies.fake_studies import read_page, write_study


def test_no_verdict_by_validation_while_only_some_runs_have_a_test_score(tmp_path):
    write_study(tmp_path, {"A": [1.0, 1.1, 1.2], "B": [3.0, None, 3.2]})
    text = " ".join(read_page(tmp_path).texts)
    assert "while B has no score of the test split, which others have." in text
    assert "wins" not in text


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


def test_a_verdict_names_seeds_and_text(tmp_path):
    write_study(tmp_path, {"A": [1.0, 1.01, 1.02], "B": [3.0, 3.01, 3.02]}, segments=12)
    text = " ".join(read_page(tmp_path).texts)
    assert "and wins: B is 2.0000 ± 0.02" in text
    assert "Welch's t over n = 3 seeds and 12 segments of the text" in text


def test_segments_tell_the_score_with_the_spelling_of_unknowns(tmp_path):
    write_study(tmp_path, {"A": [1.0]}, segments=12)
    path = tmp_path / "arms" / "a" / "seed_0" / "results.json"
    results = json.loads(path.read_text())
    results["splits"]["test"]["segments"]["spelling_nats"] = [100 * np.log(2)] * 12
    path.write_text(json.dumps(results))
    study, _ = write_report(tmp_path)
    segments = arm_scores(study.arms[0], "test").segments
    assert segments.bits_SG.sum() / segments.bytes_G.sum() == pytest.approx(1.0 + 1.0)


def test_scores_of_different_texts_are_not_compared(tmp_path):
    write_study(tmp_path, {"A": [1.0, 1.1, 1.2], "B": []})
    for seed in range(3):
        config = make_config()
        config.seed = seed
        write_run(config, tmp_path / "arms" / "b" / f"seed_{seed}", test=9.0, text="other")
    text = " ".join(read_page(tmp_path).texts)
    assert "No verdict is drawn: the arms were scored on different texts." in text


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
