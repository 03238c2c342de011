"""A plan counts what will be trained, and names the arm that can't be."""

import pytest
from rich.console import Console

from lmjax.errors import UserError
from lmjax.studies.plan import plan_study, plan_text
from lmjax.studies.study import Arm, Tuning
from tests.studies.fake_runs import make_config, make_study


@pytest.fixture
def files(tmp_path):
    (tmp_path / "text.txt").write_text("to be or not to be\n" * 100)
    return str(tmp_path / "text.txt")


def config(files, model="rnn", **fields):
    config = make_config(model, **fields)
    config.data.update(corpus="text", files=files, batch_size=2, length=8)
    config.training.duration = "10 steps"
    return config


def study(files, **fields):
    counted = Arm("n-gram", config(files, "ngram"), choices={"model.order": (2, 3)})
    small = {"cell": "elman", "width": 8, "layers": 1}
    arms = (counted, Arm("A", config(files, **small)), Arm("B", config(files, **small | fields)))
    tuning = Tuning({"training.learning_rate": (0.1, 0.2, 0.3)}, "20 percent")
    return make_study(arms=arms, baseline="A", seeds=(1, 2), tuning=tuning)


def test_trials_runs_and_tokens_are_those_that_will_be(files):
    counted, *trained = plan_study(study(files))
    assert (counted.parameters, counted.trials, counted.runs) == (None, 0, 2)
    assert counted.run_tokens == pytest.approx(0.9 * 1900, rel=0.02)
    for plan in trained:
        assert plan.parameters == 256 * 8 + 8 * 8 + 8 * 8 + 8 + 8 * 256 + 256
        assert (plan.trials, plan.trial_tokens) == (3, 2 * 16)
        assert (plan.runs, plan.run_tokens) == (2, 10 * 16)
        assert plan.tokens == 3 * 32 + 2 * 160


def test_the_plan_is_shown_with_its_sums_seeds_and_grid(files):
    console = Console(width=150)
    with console.capture() as shown:
        console.print(plan_text(study(files), plan_study(study(files))))
    text = shown.get()
    assert "seeds: 1, 2" in text
    assert "20 percent, seed 0; grid: training.learning_rate 0.1, 0.2, 0.3" in text
    together = next(line.split() for line in text.splitlines() if "together" in line)
    assert together[:3] == ["together", "6", "6"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"cell": "elmann"}, "arm 'B' can't run: unknown model.cell 'elmann'"),
        ({"dropout": 1.5}, "arm 'B' can't run: model.dropout is 1.5"),
        ({"width": 0}, "arm 'B' can't run: .*width"),
    ],
)
def test_an_arm_that_cannot_run_is_named(files, fields, message):
    with pytest.raises(UserError, match=message):
        plan_study(study(files, **fields))


def test_an_arm_that_predicts_no_text_is_refused(files):
    words = config(files, "word_vectors", width=4)
    words.data.tokenizer = "word"
    vectors = make_study(arms=(Arm("A", words), Arm("B", words)), baseline="A")
    with pytest.raises(UserError, match="'A' predicts no text .skip_gram_negative_sampling"):
        plan_study(vectors)
