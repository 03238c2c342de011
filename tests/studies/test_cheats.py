"""Who would make an arm look better than it is, is refused a verdict or told on in words."""

import json
import shutil

import pytest

from lmjax.errors import UserError
from lmjax.runs.run_directory import RunDirectory
from lmjax.studies.study import Arm, Tuning
from lmjax.studies.tuning import Trial, write_tuning
from tests.studies.fake_runs import make_config, make_study, write_run
from tests.studies.fake_studies import figures_of, read_page, write_study

SCORES = {"Base": [2.0, 2.02, 2.05], "Mine": [1.5, 1.52, 1.56]}


@pytest.fixture
def study(tmp_path):
    """A fair study that Mine wins, to be cheated in."""
    write_study(tmp_path, SCORES, baseline="Base", segments=12, matched=["training_tokens"])
    for run in runs(tmp_path):
        RunDirectory(run).log_test_read(step=30, reader="lmjax study, after all training")
    said = words(tmp_path)
    assert "and wins" in said
    assert "The test split was read once of each of 6 runs." in said
    assert not any(word in said for word in ("NOT", "No verdict", "nobody knows", "copies"))
    return tmp_path


def runs(workdir, arm="*"):
    return sorted(path.parent for path in workdir.glob(f"arms/{arm}/**/config.json"))


def words(workdir):
    page = " ".join(read_page(workdir).texts)
    text = (workdir / "report.md").read_text()
    if "No verdict" in page:
        assert "wins" not in page + text
        assert "| better |" not in text
    return page


def change(run, change_results):
    path = run / "results.json"
    results = json.loads(path.read_text())
    change_results(results)
    path.write_text(json.dumps(results))


def describe(workdir, **fields):
    path = workdir / "study.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_selecting_on_test_in_a_studys_configurations_is_refused():
    config = make_config()
    config.evaluation.splits = ("validation", "test")
    with pytest.raises(UserError, match="sets evaluation.splits"):
        make_study(arms=(Arm("LSTM", config),))


def test_reading_the_test_split_of_choices_and_trials_is_refused(study):
    folder = study / "arms" / "mine"
    for seed in range(3):
        for place, choice in enumerate(("width=8", "width=16")):
            config = make_config(cell="gru")
            config.seed = seed
            path = folder / choice / f"seed_{seed}"
            write_run(config, path, validation=2.0 + place, test=1.5 + seed / 50, segments=12)
            RunDirectory(path).log_test_read(step=30, reader="lmjax evaluate")
        shutil.rmtree(folder / f"seed_{seed}")
    assert "No verdict is drawn: " in (said := words(study))
    assert "test split was read of choices of Mine that validation did not prefer" in said
    trial = study / "tuning" / "mine" / "learning_rate=0.1"
    trial.mkdir(parents=True)
    RunDirectory(trial).log_test_read(step=30, reader="lmjax evaluate")
    assert "the test split was read of trials (1 times)" in words(study)


def test_reading_the_test_split_often_or_early_is_told(study):
    run = runs(study, "mine")[0]
    for step in (10, 20):
        RunDirectory(run).log_test_read(step=step, reader="lmjax evaluate")
    said = words(study)
    assert "Mine, seed 0: the test split was read 3 times (by lmjax study, after all" in said
    assert "lmjax evaluate); what was chosen after the first was chosen by it." in said
    assert "Of 5 other runs it was read once." in said
    assert "Mine, seed 0: the test split was read at step 10, before the training had ended" in said
    (run / "test_reads.jsonl").write_text("{}\nhalf a li")
    assert "read 2 times (by an unknown reader)" in words(study)


def test_reads_of_another_corpus_are_none_of_the_studys_test_split(study):
    other = dict(context="another task", corpus="blimp", reader="lmjax evaluate")
    trial = study / "tuning" / "mine" / "learning_rate=0.1"
    trial.mkdir(parents=True)
    for folder in (runs(study, "mine")[0], trial):
        RunDirectory(folder).log_test_read(step=10, **other)
    said = words(study)
    assert "The test split was read once of each of 6 runs." in said and "and wins" in said
    assert "before the training had ended" not in said


def test_hiding_the_log_of_reads_is_told(study):
    (runs(study, "mine")[0] / "test_reads.jsonl").unlink()
    said = words(study)
    assert "1 of 6 runs with a test score have no test_reads.jsonl, so that nobody knows" in said


def test_perplexities_of_different_tokenizers_are_not_shown(study):
    for arm, tokens in (("base", "words"), ("mine", "bytes")):
        for run in runs(study, arm):
            change(run, lambda results, tokens=tokens: tokenize(results, tokens))
    said = words(study)
    assert "Tokenizers differ" in said and "perplexities say nothing of each other" in said
    assert "123.4" not in said + (study / "report.md").read_text()


def tokenize(results, tokens):
    for score in results["splits"].values():
        score |= {"perplexity": 123.4, "fingerprint": f"text-{tokens}"}


def test_runs_on_different_splits_are_refused(study):
    for run in runs(study, "mine"):
        change(run, lambda results: results["splits"].pop("test"))
    assert "No verdict is drawn while Mine has no score of the test split, which" in words(study)


def test_runs_on_different_texts_are_refused(study):
    for run in runs(study, "mine"):
        change(run, lambda results: results["splits"]["test"].update(text_fingerprint="easy"))
    assert "No verdict is drawn: the arms were scored on different texts." in words(study)


def test_training_on_another_text_is_refused_unless_it_is_the_question(study):
    for arm, text in (("base", "little"), ("mine", "much")):
        for run in runs(study, arm):
            change(
                run,
                lambda results, text=text: results.update(fingerprints={"train": f"{text}-bytes"}),
            )
    said = words(study)
    assert "No verdict is drawn: arms were trained on different texts (Base: little; Mine: " in said
    describe(study, texts_differ=True)
    assert "and wins" in words(study)


def test_an_arm_that_trained_longer_is_refused(study):
    train_longer(runs(study, "mine"))
    said = words(study)
    assert "No verdict is drawn: training tokens are to be equal and are not, by 100.00%." in said
    assert "NOT matched: training tokens, 3,000 in Base, others within 100.00% of it." in said


def test_one_seed_that_trained_longer_is_enough(study):
    train_longer(runs(study, "mine")[2:])
    assert "training tokens are to be equal and are not" in words(study)


def test_an_arm_that_trained_longer_is_told_where_nothing_is_to_match(study):
    describe(study, matched=[])
    train_longer(runs(study, "mine"))
    assert "NOT trained equally long, in tokens: Base 3,000, Mine 6,000." in words(study)


def train_longer(paths):
    for run in paths:
        change(run, lambda results: results["training"].update(tokens=6000))


def test_a_target_is_what_arms_are_measured_by(study):
    describe(study, target=6000)
    said = words(study)
    assert "NOT matched: training tokens, 6,000 aimed at, all within 50.00% of it." in said
    assert "No verdict is drawn" in said


def test_unequal_trials_are_refused(study):
    for arm, rates in (("base", (0.1,)), ("mine", (0.1, 0.3, 1.0))):
        trials = [Trial({"training.learning_rate": rate}, 2.0, 600) for rate in rates]
        tuning = Tuning({"training.learning_rate": rates}, "20 percent")
        for run in runs(study, arm):
            write_tuning(run, Arm(arm, make_config()), tuning, trials)
    said = words(study)
    assert "No verdict is drawn: arms were not tuned alike (Base: 1 trials of 20 percent" in said
    assert (
        "Mine: 3 trials of 20 percent each, seed 0: training.learning_rate 0.1, 0.3, 1.0)" in said
    )
    for run in runs(study, "base"):
        (run / "tuning.json").unlink()
    assert "arms were not tuned alike (Base: no trials; Mine: 3 trials" in words(study)


@pytest.mark.parametrize(("flops", "is_fair"), [((3e9, 3e9), True), ((3e9, 4e9), False)])
def test_longer_trials_are_refused_unless_they_are_of_equal_flops(study, flops, is_fair):
    for arm, tokens, of_arm in zip(("base", "mine"), (600, 900), flops, strict=True):
        trial = Trial({"training.learning_rate": 0.1}, 2.0, tokens, flops=of_arm)
        for run in runs(study, arm):
            tuning = Tuning({"training.learning_rate": (0.1,)}, "20 percent")
            write_tuning(run, Arm(arm, make_config()), tuning, [trial])
    refused = "arms were tuned by trials of different lengths, in tokens: Base 600, Mine 900"
    assert (refused in words(study)) != is_fair


def test_a_rung_that_diverged_was_lost_on_equal_terms(study):
    search = {"search": "successive_halving", "trials": 6, "factor": 3}
    for arm, last in (("base", 1.9), ("mine", None)):
        first = Trial({"training.learning_rate": 0.1}, 2.0, 200)
        longer = Trial({"training.learning_rate": 0.1}, last, 600 if last else 0, times=3)
        for run in runs(study, arm):
            tuning = Tuning({"training.learning_rate": (0.1,)}, "20 percent", **search)
            write_tuning(run, Arm(arm, make_config()), tuning, [first, longer])
    assert "different lengths" not in words(study)


def test_one_seed_is_no_winner(study):
    describe(study, seeds=[0])
    for arm in ("base", "mine"):
        for run in runs(study, arm)[1:]:
            shutil.rmtree(run)
    said = words(study)
    assert "n = 1: no verdict is drawn" in said and "wins" not in said
    beside = figures_of(read_page(study), "Beside the baseline", "Mine")
    assert beside["finding"] == "not judged"


def test_a_study_that_names_only_its_best_seed_has_all_of_them_counted(study):
    describe(study, seeds=[0])
    page = read_page(study)
    assert figures_of(page, "Scores", "Mine")["seeds"] == "3"
    assert "The study asks for the seeds 0, but runs of 1, 2 are there as well" in words(study)
    shutil.rmtree(runs(study, "mine")[2])
    assert "No verdict is drawn while Mine has no result of seed 2." in words(study)


def test_a_seed_that_is_counted_twice_is_refused(study):
    shutil.copytree(runs(study, "mine")[0], study / "arms" / "mine" / "seed_00")
    said = words(study)
    assert "No verdict is drawn: 2 runs of Mine have the seed 0, of which one would be " in said


def test_a_seed_that_is_a_copy_of_another_is_told(study):
    first, second, _ = runs(study, "mine")
    shutil.copy(first / "results.json", second / "results.json")
    assert "Mine: seeds 0, 1 have the very same nats in every segment" in words(study)


def test_an_arm_that_was_left_out_is_told(study):
    describe(study, arms=[["Base", "base"], ["Other", "other"]])
    said = words(study)
    assert "There are runs of what the study does not name as an arm: mine." in said
