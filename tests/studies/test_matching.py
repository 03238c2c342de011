"""Arms are equal where the study says so, or the study is refused."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmjax.errors import UserError
from lmjax.models.registry import build_model
from lmjax.objectives import contract
from lmjax.studies import matching
from lmjax.studies.matching import match_study, model_size, solve_size
from lmjax.studies.study import Arm
from tests.studies.fake_runs import make_config, make_study

TOKENIZER = SimpleNamespace(vocabulary_size=30, end_id=None, start_id=0)


@pytest.fixture(autouse=True)
def no_corpus(monkeypatch):
    """A vocabulary is all that sizes depend on, a number of steps all that durations do."""
    dataset = SimpleNamespace(tokenizer=TOKENIZER, splits={"train": None})
    monkeypatch.setattr(matching, "open_dataset", lambda data: dataset)

    def make_batching(stream, data, seed):
        tokens = data.batch_size * data.length
        return SimpleNamespace(steps_per_epoch=50, tokens_per_step=tokens)

    monkeypatch.setattr(contract, "make_batching", make_batching)


def transformer(**fields):
    small = {"layers": 1, "width": 16, "heads": 2, "context_length": 8}
    return make_config("transformer", **small | fields)


def parameters(arm):
    model = build_model(arm.config.model, TOKENIZER)
    variables = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, 1), jnp.int32))
    return sum(leaf.size for leaf in jax.tree.leaves(variables))


@settings(deadline=None)
@given(
    target=st.integers(1, 10**9),
    quadratic=st.integers(0, 20),
    linear=st.integers(1, 500),
    multiple_of=st.sampled_from([1, 4, 64]),
    start=st.integers(0, 10**5),
)
def test_no_other_size_is_nearer(target, quadratic, linear, multiple_of, start):
    def count(size):
        return quadratic * size**2 + linear * size

    size = solve_size(count, target, multiple_of, start)
    assert size % multiple_of == 0
    assert size > 0
    nearest = abs(count(size) - target)
    if size < matching.LARGEST_SIZE * multiple_of:
        assert nearest <= abs(count(size + multiple_of) - target)
    if size > multiple_of:
        assert nearest <= abs(count(size - multiple_of) - target)


def test_few_counts_are_asked_for():
    asked = []

    def count(size):
        asked.append(size)
        return 12 * size**2 + 1024 * size

    assert solve_size(count, 12 * 217**2 + 1024 * 217, start=64) == 217
    assert len(asked) <= 8


def test_counts_are_those_of_real_parameters():
    arm = Arm("A", transformer())
    assert model_size(arm, TOKENIZER, "parameters") == parameters(arm)
    embeddings = 16 * (TOKENIZER.vocabulary_size + 8)
    inner = model_size(arm, TOKENIZER, "non_embedding_parameters")
    assert inner == parameters(arm) - embeddings


def test_every_trained_arm_comes_within_two_percent_of_the_baseline():
    arms = (
        Arm("n-gram", make_config("ngram")),
        Arm("deep", transformer(layers=2), size_field="model.feed_forward_width"),
        Arm("wide", transformer(width=48), size_field="model.feed_forward_width"),
        Arm(
            "near",  # but not near enough
            transformer(width=32, feed_forward_width=120),
            size_field="model.feed_forward_width",
        ),
        Arm("base", transformer(width=32)),
    )
    matched = match_study(make_study(arms=arms, baseline="base"))
    target = parameters(arms[-1])
    assert matched.arms[0] == arms[0]
    assert matched.arms[-1] == arms[-1]
    for before, after in zip(arms[1:-1], matched.arms[1:-1], strict=True):
        assert abs(parameters(after) - target) <= 0.02 * target
        assert after.config.model.layers == before.config.model.layers


def test_an_arm_that_cannot_come_near_is_an_error():
    arms = (
        Arm("coarse", transformer(), multiple_of=64),
        Arm("base", transformer(width=40)),
    )
    with pytest.raises(UserError, match="'coarse' can't match .* within 2%.*multiple_of"):
        match_study(make_study(arms=arms, baseline="base"))


def test_a_choice_that_changes_the_size_is_an_error():
    arms = (
        Arm("A", transformer(), choices={"model.layers": (1, 2)}),
        Arm("base", transformer()),
    )
    with pytest.raises(UserError, match="'A' can't match"):
        match_study(make_study(arms=arms, baseline="base"))


def test_unequal_training_tokens_are_an_error_unless_they_need_not_match():
    longer = transformer()
    longer.training.duration = "3000 steps"
    study = make_study(arms=(Arm("A", longer), Arm("base", transformer())), baseline="base")
    with pytest.raises(UserError, match=r"'A' trains on 12,288,000 tokens and 'base' on 8,192,000"):
        match_study(study)
    free = make_study(arms=study.arms, baseline="base", matched=("parameters",))
    assert match_study(free).arms == study.arms


def test_the_same_tokens_may_be_written_in_another_way():
    other = transformer()
    other.data.batch_size, other.data.length = 16, 64
    other.training.duration = f"{2000 * 32 * 128} tokens"
    study = make_study(arms=(Arm("A", other), Arm("base", transformer())), baseline="base")
    assert match_study(study).arms == study.arms


def test_a_counted_baseline_is_an_error():
    arms = (Arm("n-gram", make_config("ngram")), Arm("B", transformer()))
    with pytest.raises(UserError, match="'n-gram' is counted.*: B"):
        match_study(make_study(arms=arms, baseline="n-gram"))


def test_a_study_of_counted_models_alone_has_nothing_to_match():
    arms = (Arm("A", make_config("ngram", order=2)), Arm("B", make_config("ngram", order=3)))
    study = make_study(arms=arms, baseline="B")
    assert match_study(study) == study


def test_a_size_field_that_does_not_exist_is_an_error():
    arms = (Arm("A", transformer(), size_field="model.wdith"), Arm("B", transformer(width=64)))
    with pytest.raises(UserError, match=r"did you mean 'model\.width'"):
        match_study(make_study(arms=arms, baseline="B"))
