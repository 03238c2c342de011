"""Cross-validation in a study: seeds are dealt to folds, and a verdict is drawn fold by fold."""

import io
import json
import math

import numpy as np
import pytest
from rich.console import Console
from scipy import stats

import lmjax
from lmjax.errors import UserError
from lmjax.runs.run_directory import RunDirectory
from lmjax.studies.judging import study_comparisons, study_verdict
from lmjax.studies.reading import read_study
from lmjax.studies.report import write_report
from lmjax.studies.statistics import ArmScores, SegmentBits, difference, verdict
from lmjax.studies.study import Arm, Study, Tuning
from tests.studies.fake_runs import make_config, make_study
from tests.studies.fake_training import FakeTraining


def in_folds(arm, folds=3):
    return arm.with_fields({"data.folds": folds})


def folded_study(**fields):
    study = make_study()
    arms = tuple(map(in_folds, study.arms))
    return make_study(**{"arms": arms, "seeds": (4, 5, 6, 7, 8, 9), "matched": ()} | fields)


class Folded(FakeTraining):
    """Scores that depend on fold, seed and arm; each fold is a text of its own."""

    def __call__(self, config, path, console):
        fold = config.data.fold
        score = (
            2.0 + fold + 0.001 * config.seed + (0.1 + 0.01 * fold) * (config.model.name != "rnn")
        )
        score += (0.05 + 0.002 * fold) * (config.model.get("cell") == "gru")
        fields = {"validation": score, "test": None, "text": f"fold {fold}"}
        self.validation[self.name(path)] = fields
        super().__call__(config, path, console)


def test_seeds_are_dealt_to_folds_and_what_is_counted_runs_once_in_each(tmp_path):
    training = Folded(tmp_path)
    tuning = Tuning({"training.learning_rate": (0.1,)}, "10 percent")
    assert training.run(folded_study(tuning=tuning)) == []
    given = {
        name: RunDirectory(path.parent).config().data.fold
        for path in sorted(training.workdir.rglob("config.json"))
        for name in [training.name(path.parent)]
    }
    lstm = {
        f"lstm/seed_{seed}": fold for seed, fold in zip(range(4, 10), [0, 1, 2] * 2, strict=True)
    }
    assert {name: fold for name, fold in given.items() if name.startswith("lstm/")} == lstm
    for order in (2, 3):
        once = {f"n_gram/order={order}/seed_{4 + fold}": fold for fold in range(3)}
        assert {name: f for name, f in given.items() if f"order={order}" in name} == once
    assert {fold for name, fold in given.items() if name.startswith("tuning/")} == {0}


def test_arms_are_compared_within_folds_by_a_t_that_knows_that_they_overlap(tmp_path):
    training = Folded(tmp_path)
    training.run(folded_study())
    study = read_study(training.workdir)
    n_gram, gru = study_comparisons(study)
    by_fold = [0.1 + 0.01 * fold - 0.0015 for fold in range(3)]  # of one seed, not of two
    assert n_gram.mean == pytest.approx(np.mean(by_fold))
    paired = stats.ttest_1samp(by_fold, 0.0)
    shrunk = paired.statistic * math.sqrt((1 / 3) / (1 / 3 + 1 / 2))
    assert n_gram.p_value == pytest.approx(2 * stats.t.sf(shrunk, 2))
    assert gru.mean == pytest.approx(0.052)
    assert n_gram.seeds == (3, 3)
    assert (n_gram.seeds_p_value, n_gram.hedges_g) == (None, None)
    told = study_verdict(study).text
    assert "over n = 3 folds" in told and "corrected resampled t" in told
    page = write_report(training.workdir)[1].with_suffix(".md").read_text()
    assert "Cross-validation: each run validates on one of 3 folds" in page
    assert "different texts" not in page and "Tokenizers differ" not in page


def test_no_verdict_is_drawn_while_a_fold_lacks_a_seed_or_arms_differ_within_one(tmp_path):
    training = Folded(tmp_path)
    training.run(folded_study())
    results = training.workdir / "arms" / "gru" / "seed_8" / "results.json"
    content = results.read_text()
    results.unlink()
    assert "GRU has no result of fold 1" in study_verdict(read_study(training.workdir)).text
    results.write_text(content.replace("fold 1", "fold 2"))
    assert "scored on different texts" in study_verdict(read_study(training.workdir)).text
    trained = json.loads(content) | {"fingerprints": {"train": "other-tokens"}}
    results.write_text(json.dumps(trained))
    other = training.workdir / "arms" / "lstm" / "seed_8" / "results.json"
    trained = json.loads(other.read_text()) | {"fingerprints": {"train": "text-tokens"}}
    other.write_text(json.dumps(trained))
    assert "trained on different texts" in study_verdict(read_study(training.workdir)).text


def test_on_one_test_text_the_difference_is_uncertain_by_that_as_well():
    random = np.random.default_rng(0)
    bytes_G = np.full(50, 100.0)
    bits_FG = {name: 100 * random.normal(2.0, 0.3, (4, 50)) for name in "ab"}
    arms = {
        name: ArmScores(
            dict(enumerate(bits_SG.sum(axis=1) / bytes_G.sum())),
            SegmentBits(bits_SG, bytes_G),
            folds=4,
        )
        for name, bits_SG in bits_FG.items()
    }
    found = difference(arms["a"], arms["b"])
    by_fold = [arms["a"].by_seed[fold] - arms["b"].by_seed[fold] for fold in range(4)]
    over_folds = np.var(by_fold, ddof=1) * (1 / 4 + 1 / 3)
    by_segment = (bits_FG["a"].mean(axis=0) - bits_FG["b"].mean(axis=0)) / 100
    over_text = np.var(by_segment, ddof=1) / 50
    assert found.standard_error == pytest.approx(math.sqrt(over_folds + over_text), rel=0.03)
    assert found.mean == pytest.approx(np.mean(by_fold))
    assert 3 < found.degrees_of_freedom < 52


@pytest.mark.parametrize("folds", [3, 5])
def test_of_two_learners_that_are_as_good_one_wins_seldom(folds):
    random = np.random.default_rng(0)
    of_fold_N = np.arange(60) % folds

    def errors_by_fold(x_NC, y_N):
        errors = {}
        for fold in range(folds):
            held_out_N = of_fold_N == fold
            weights_C = np.linalg.lstsq(x_NC[~held_out_N], y_N[~held_out_N], rcond=None)[0]
            errors[fold] = np.mean((y_N - x_NC @ weights_C)[held_out_N] ** 2)
        return ArmScores(errors, folds=folds)

    won = 0
    for _ in range(500):
        x_NC = random.normal(size=(60, 10))
        y_N = x_NC.sum(axis=1) + random.normal(size=60)
        arms = {"a": errors_by_fold(x_NC[:, :5], y_N), "b": errors_by_fold(x_NC[:, 5:], y_N)}
        won += verdict(arms, "error").winner is not None
    assert won <= 0.05 * 500


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"seeds": (4, 5, 6, 7)}, "4 seeds for 3 folds"),
        ({"arms": (in_folds(Arm("LSTM", make_config())), Arm("B", make_config()))}, "all arms the"),
        (
            {"arms": (in_folds(Arm("LSTM", make_config())).with_fields({"data.fold": 1}),)},
            "leave out",
        ),
    ],
)
def test_folds_that_are_not_the_same_for_all_are_refused(fields, message):
    with pytest.raises(UserError, match=message):
        folded_study(**fields)


def test_a_study_of_folds_from_documents_to_its_report(tmp_path):
    lines = [json.dumps({"text": f"to be {i} or not to be {i * i}\n" * 3}) for i in range(120)]
    (tmp_path / "text.jsonl").write_text("\n".join(lines))

    def arm(name, model, **fields):
        config = make_config(model, **fields)
        config.data.update(corpus="text", files=str(tmp_path / "text.jsonl"), folds=3)
        config.data.update(batch_size=2, length=8)
        config.training.duration = "4 steps"
        config.evaluation.every = "2 steps"
        return Arm(name, config, choices={"model.order": (1, 2)} if model == "ngram" else {})

    small = {"layers": 1, "width": 4}
    study = Study(
        "folds",
        "Which?",
        (
            arm("n-gram", "ngram"),
            arm("Elman", "rnn", cell="elman", **small),
            arm("GRU", "rnn", **small),
        ),
        "GRU",
        seeds=(0, 1, 2),
        matched=("training_tokens",),
        tuning=Tuning({"training.learning_rate": (1e-3, 1e-2)}, "50 percent"),
        continuation_length=2,
    )
    found = lmjax.study(study, tmp_path / "study", Console(file=io.StringIO()))
    assert found.failures == []
    for record in found.record.arms:
        prints = [run.results["fingerprints"] for run in record.runs]
        assert len({of_run["validation"] for of_run in prints}) == 3
        assert len({of_run["train"] for of_run in prints}) == 3
        assert len({score["text_fingerprint"] for score in record.scores("test").values()}) == 1
        assert [len(run.test_reads) for run in record.runs] == [1] * 3
    text = found.page.with_suffix(".md").read_text()
    assert "No verdict" not in text and "lowest mean test bits per byte" in text
    assert "over n = 3 folds" in text and "Tuning has validated on fold 0" in text
