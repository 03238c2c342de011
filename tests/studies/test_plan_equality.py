"""A plan is refused where arms would not be compared on equal terms."""

import pytest

from lmjax.errors import UserError
from lmjax.studies.plan import plan_study
from lmjax.studies.study import Arm
from tests.studies.fake_runs import make_config, make_study


@pytest.fixture
def arm(tmp_path):
    """Makes arms that read one small text."""
    text = tmp_path / "text.txt"
    text.write_text("to be or not to be, that is the question\n\n" * 100)

    def arm(name, model="rnn", choices=None, **fields):
        config = make_config(model)
        config.data.update(corpus="text", files=str(text), batch_size=2, length=8)
        config.training.duration = "4 steps"
        return Arm(name, config, choices=choices or {}).with_fields(fields)

    return arm


def plan(*arms, **fields):
    return plan_study(make_study(arms=arms, baseline=arms[0].name, matched=(), **fields))


def test_equal_arms_are_planned_whatever_their_tokenizers(arm):
    other = arm("B", **{"data.tokenizer": "character"})
    counted = arm("n-gram", "ngram", {"model.order": (2, 3)})
    assert [plan.name for plan in plan(arm("A"), other, counted)] == ["A", "B", "n-gram"]


@pytest.mark.parametrize("model", ["rnn", "ngram"])
def test_arms_that_train_on_different_texts_are_refused(arm, model, tmp_path):
    (tmp_path / "other.txt").write_text("the rest is silence\n\n" * 100)
    other = arm("B", model, **{"data.files": str(tmp_path / "other.txt")})
    with pytest.raises(UserError, match="differ in the training text.* in 'A', .* in 'B'"):
        plan(arm("A"), other)


def test_arms_train_on_different_texts_where_that_is_the_question(arm, tmp_path):
    folder = tmp_path / "texts"
    folder.mkdir()
    for number in range(20):
        (folder / f"{number}.txt").write_text(f"text {number}\n\n" * 100)
    whole, half = (
        arm(name, **{"data.files": str(folder), "data.train_share": share})
        for name, share in (("whole", 1.0), ("half", 0.5))
    )
    assert len(plan(whole, half, texts_differ=True)) == 2
    with pytest.raises(UserError, match="differ in the training text.*texts_differ=True if that"):
        plan(whole, half)
    with pytest.raises(UserError, match="texts_differ=True, but all its arms train on the same"):
        plan(arm("A"), arm("B"), texts_differ=True)
    with pytest.raises(UserError, match="arms differ in the validation text"):
        plan(arm("A"), half, texts_differ=True)


def test_an_arm_that_begins_with_trained_parameters_is_refused(arm):
    warm = arm("B", **{"training.initial_params": "runs/a"})
    with pytest.raises(UserError, match="initial_params: none in 'A', runs/a in 'B'"):
        plan(arm("A"), warm)


def test_arms_begin_differently_where_that_is_the_question(arm):
    warm = arm("B", **{"training.initial_params": "runs/a"})
    assert len(plan(arm("A"), warm, begins_differ=True)) == 2
    with pytest.raises(UserError, match="begins_differ=True, but all its arms begin with the same"):
        plan(arm("A"), arm("B"), begins_differ=True)


def test_an_arm_with_more_choices_than_another_is_refused(arm):
    choices = {"training.learning_rate": (0.1, 0.2)}
    with pytest.raises(UserError, match="their choices try: 1 in 'A', 2 in 'B'"):
        plan(arm("A"), arm("B", choices=choices))
    assert plan(arm("A", choices=choices), arm("B", choices=choices))
