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
from lmjax.studies import measures, solving
from lmjax.studies.matching import match_study
from lmjax.studies.measures import Measures
from lmjax.studies.solving import solve_size
from lmjax.studies.study import Arm
from tests.studies.fake_runs import make_config, make_study

TOKENIZER = SimpleNamespace(vocabulary_size=30, end_id=None, start_id=0)


@pytest.fixture(autouse=True)
def no_corpus(monkeypatch):
    """A vocabulary is all that sizes depend on, a number of steps all that durations do."""
    dataset = SimpleNamespace(tokenizer=TOKENIZER, splits={"train": None})
    monkeypatch.setattr(measures, "open_dataset", lambda data: dataset)

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
    if size < solving.LARGEST_SIZE * multiple_of:
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


@settings(deadline=None)
@given(
    heights=st.lists(st.integers(0, 10**6), min_size=2, max_size=40),
    step=st.integers(1, 3000),
    target=st.integers(1, 10**7),
    start=st.integers(1, 10**5),
)
def test_counts_that_grow_in_jumps_are_searched_in_logarithmic_time(heights, step, target, start):
    asked = []

    def count(size):
        asked.append(size)
        return sum(heights[: 1 + size // step])

    largest = 10**5
    size = solve_size(count, target, start=start, largest=largest)
    assert len(asked) <= 4 * 18
    distance = abs(count(size) - target)
    edges = [edge for place in range(len(heights)) for edge in (place * step - 1, place * step)]
    others = [edge for edge in (1, *edges, largest) if 1 <= edge <= largest]
    assert distance <= min(abs(count(other) - target) for other in others)


def test_counts_are_those_of_real_parameters():
    arm = Arm("A", transformer())
    assert Measures().of(arm, "parameters") == parameters(arm)
    embeddings = 16 * (TOKENIZER.vocabulary_size + 8)
    inner = Measures().of(arm, "non_embedding_parameters")
    assert inner == parameters(arm) - embeddings


def test_every_trained_arm_comes_within_one_percent_of_the_baseline():
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
        assert abs(parameters(after) - target) <= 0.01 * target
        assert after.config.model.layers == before.config.model.layers


def lstm(**fields):
    return make_config("rnn", **{"layers": 1, "width": 16} | fields)


def test_states_are_matched_in_bytes():
    arms = (Arm("LSTM", lstm()), Arm("base", transformer(width=32, context_length=128)))
    study = make_study(arms=arms, baseline="base", matched=("state_bytes",))
    matched = match_study(study).arms[0]
    target = 2 * 128 * 32 * 4  # keys and values of 128 tokens
    assert matched.config.model.width == pytest.approx(target / 8, rel=0.05)  # h and c
    found = Measures().of(matched, "state_bytes")
    assert abs(found - Measures().of(arms[1], "state_bytes")) <= 0.01 * found


def test_flops_are_matched_by_the_size_alone_or_by_the_duration_beside_a_size():
    arms = (Arm("LSTM", lstm()), Arm("base", transformer(width=32, context_length=128)))
    measures = Measures()

    def matched(*quantities):
        study = make_study(arms=arms, baseline="base", matched=quantities)
        lstm, base = match_study(study).arms
        assert base == arms[1]
        for quantity in quantities:
            target = measures.of(base, quantity)
            assert abs(measures.of(lstm, quantity) - target) <= 0.01 * target
        return lstm.config

    wide = matched("training_flops")
    assert wide.model.width != 16 and wide.training.duration == arms[0].config.training.duration
    long = matched("parameters", "training_flops")
    assert long.model.width == matched("parameters").model.width
    assert long.training.duration.endswith(" steps") and long.training.duration != "2000 steps"
    assert matched("training_flops", "training_tokens").model.width == wide.model.width


def test_an_arm_may_keep_its_size_and_train_longer_for_its_flops():
    arms = (Arm("wide", lstm(width=64)), Arm("small", lstm(), size_field="training.duration"))
    study = make_study(arms=arms, baseline="wide", matched=("training_flops",))
    wide, small = match_study(study).arms
    assert small.config.model.width == 16
    steps = int(small.config.training.duration.removesuffix(" steps"))
    assert steps > 4 * 2000
    flops = [Measures().of(arm, "training_flops") for arm in (wide, small)]
    assert flops[1] == pytest.approx(flops[0], rel=0.01)


@pytest.mark.parametrize(
    ("matched", "target"),
    [
        (("parameters",), 20_000),
        (("non_embedding_parameters", "training_tokens"), 20_000),
        (("state_bytes",), 20_000),
        (("training_flops",), 1e13),
        (("training_tokens",), 123_456_789),
    ],
)
def test_with_a_target_the_baseline_is_solved_for_too(matched, target):
    fine = {"multiple_of": 2, "fine_field": "model.feed_forward_width"}
    if matched == ("state_bytes",):
        fine = {"size_field": "model.context_length"}
    arms = (Arm("LSTM", lstm()), Arm("base", transformer(width=32, context_length=128), **fine))
    study = make_study(arms=arms, baseline="base", matched=matched, target=target)
    result = match_study(study)
    for arm in result.arms:
        assert abs(Measures().of(arm, matched[0]) - target) <= 0.01 * target
    assert match_study(result) == result


def test_the_target_is_that_of_the_size_and_flops_are_the_baselines():
    arms = (Arm("LSTM", lstm()), Arm("base", lstm(cell="gru")))
    matched = ("parameters", "training_flops")
    study = make_study(arms=arms, baseline="base", matched=matched, target=50_000)
    result = match_study(study)
    sizes = [Measures().of(arm, "parameters") for arm in result.arms]
    flops = [Measures().of(arm, "training_flops") for arm in result.arms]
    assert sizes == [pytest.approx(50_000, rel=0.01)] * 2
    assert flops[0] == pytest.approx(flops[1], rel=0.01)
    assert result.arms[1].config.training.duration == "2000 steps"


def test_a_fine_field_makes_up_for_a_coarse_size():
    coarse = Arm("coarse", transformer(heads=4), multiple_of=16)
    arms = (coarse, Arm("base", transformer(width=40)))
    with pytest.raises(
        UserError, match=r"\([+-]\d.*model.width \d+; set the arm's fine_field='mod"
    ):
        match_study(make_study(arms=arms, baseline="base"))
    fine = Arm("fine", coarse.config, multiple_of=16, fine_field="model.feed_forward_width")
    matched = match_study(make_study(arms=(fine, arms[1]), baseline="base")).arms[0]
    assert matched.config.model.width == 32 < matched.config.model.feed_forward_width


@pytest.mark.parametrize(
    ("arm", "matched", "message"),
    [
        (Arm("A", transformer(heads=7, width=14)), ("parameters",), "set the arm's multiple_of"),
        (
            Arm("A", lstm(), size_field="training.duration"),
            ("parameters",),
            "match .* parameters by training.duration: they are .* whatever it is",
        ),
        (
            Arm("A", lstm()).with_fields({"data.batch_size": 9999, "data.length": 9999}),
            ("parameters", "training_flops"),
            "a step is too much of it",
        ),
        (
            Arm("A", transformer(), multiple_of=64, fine_field="model.layers"),
            ("non_embedding_parameters",),
            "take another fine_field",
        ),
        (
            Arm("A", transformer(), multiple_of=64, fine_field="model.context_length"),
            ("non_embedding_parameters",),
            "by model.context_length: they are .* whatever it is",
        ),
    ],
)
def test_what_would_help_is_said(arm, matched, message):
    arms = (arm, Arm("base", transformer(width=40, context_length=128)))
    with pytest.raises(UserError, match=f"arm 'A' can't .*{message}"):
        match_study(make_study(arms=arms, baseline="base", matched=matched))


def test_a_size_that_the_model_can_not_have_is_solved_for_as_well():
    arms = (
        Arm("A", transformer(heads=3), multiple_of=3, fine_field="model.feed_forward_width"),
        Arm("base", transformer(width=40)),
    )
    assert match_study(make_study(arms=arms, baseline="base")).arms[0].config.model.width % 3 == 0


def test_an_arm_that_cannot_come_near_is_an_error():
    arms = (
        Arm("coarse", transformer(), multiple_of=64),
        Arm("base", transformer(width=40)),
    )
    with pytest.raises(UserError, match="'coarse' can't match .* within 1%.*multiple_of"):
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
