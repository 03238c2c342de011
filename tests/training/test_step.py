"""The step: equal on one device and two, under jit and pmap, whole and in micro-batches."""

from dataclasses import replace

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lmjax.config import base_config
from lmjax.data.batch import Batch
from lmjax.errors import UserError
from lmjax.models.contract import LanguageModel, initial_carry
from lmjax.nn.extras import sow_loss, sow_measure
from lmjax.objectives.causal import Causal
from lmjax.objectives.registry import objective_class
from lmjax.training.durations import Clock
from lmjax.training.execution import JitExecution, PmapExecution, make_execution
from lmjax.training.leaf_groups import frozen_leaves
from lmjax.training.optimizers import make_optimizer
from lmjax.training.schedules import make_schedule
from lmjax.training.state import initial_params, initial_state
from lmjax.training.step import TrainStep, leaf_names
from tests.properties.variants import VOCABULARY, build
from tests.toy_states import NUMBERS

ROWS, LENGTH = 4, 6


def constant_rate(step, numbers):
    return numbers.learning_rate


def step_of(family, **changes):
    model = build(family, dict(width=8, layers=1))
    training = base_config(family).training
    training.update(dict(optimizer="sgd", clip_norm=0.5))
    optimizer = make_optimizer(training, params_of(model))
    return TrainStep(model, Causal(), optimizer, constant_rate, **changes)


def params_of(model):
    return jax.eval_shape(lambda: initial_params(model, np.uint32(0), LENGTH))


def begin(step, carried, seed=0, numbers=NUMBERS):
    return initial_state(
        step.model,
        step.optimizer,
        np.uint32(seed),
        numbers,
        batch_size=ROWS,
        length=LENGTH,
        carried=carried,
    )


def batches(count):
    generator = np.random.default_rng(0)
    for _ in range(count):
        tokens_BT = generator.integers(0, VOCABULARY, (ROWS, LENGTH + 1)).astype(np.int32)
        weights_BT = (generator.random((ROWS, LENGTH)) < 0.8).astype(np.float32)
        yield Batch(
            tokens_BT=tokens_BT[:, :-1],
            targets_BT=tokens_BT[:, 1:],
            weights_BT=weights_BT,
            segment_ids_BT=None,
            positions_BT=None,
            continues_B=generator.random(ROWS) < 0.7,
        )


def run(step, execution_class, devices, carried, steps=3):
    execution = execution_class(step, jax.devices()[:devices])
    named = jax.eval_shape(lambda: begin(step, carried))
    state = execution.place_state(nn.meta.unbox(begin(step, carried)), named)
    for batch in batches(steps):
        state, metrics = execution(state, execution.place_batch(batch))
    return execution.fetch_state(state), execution.fetch(metrics)


def assert_equal(a, b, **tolerance):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, **tolerance), a, b)


@pytest.mark.parametrize("reduction", ["token_mean", "sequence_mean"])
@pytest.mark.parametrize(("family", "carried"), [("rnn", True), ("transformer", False)])
def test_every_execution_gives_the_same_run(family, carried, reduction):
    step = step_of(family, loss_reduction=reduction)
    reference = run(step, JitExecution, 1, carried)
    for execution_class, devices in ((JitExecution, 2), (PmapExecution, 1), (PmapExecution, 2)):
        assert_equal(run(step, execution_class, devices, carried), reference, rtol=1e-5, atol=1e-6)


class CausalWithAnExtra(Causal):
    """Beside the nats, a loss that depends on the parameters and on each target."""

    def __call__(self, model, params, batch, carry, **context):
        outcome = super().__call__(model, params, batch, carry, **context)
        size = sum(jnp.square(leaf).sum() for leaf in jax.tree.leaves(params))
        mean = (batch.targets_BT * batch.weights_BT).sum() / outcome.counts["tokens"]
        return outcome.replace(extras={"size": size * mean})


@pytest.mark.parametrize("reduction", ["token_mean", "sequence_mean"])
def test_extras_are_descended_and_kept_apart_from_the_nats(reduction):
    changes = dict(loss_reduction=reduction, optimizer=optax.identity())
    plain = run(replace(step_of("rnn"), **changes), JitExecution, 1, carried=False, steps=1)
    step = replace(step_of("rnn"), objective=CausalWithAnExtra(), **changes)
    with_extra = run(step, JitExecution, 1, carried=False, steps=1)
    assert with_extra[1]["nats"] == plain[1]["nats"]
    before = nn.meta.unbox(begin(step, carried=False)).params
    (batch,) = batches(1)
    mean = (batch.targets_BT * batch.weights_BT).sum() / batch.weights_BT.sum()
    size = sum(float(jnp.square(leaf).sum()) for leaf in jax.tree.leaves(before))
    assert with_extra[1]["extras"]["size"] == pytest.approx(size * mean, rel=1e-5)
    by_hand = jax.tree.map(lambda p, q: p - 0.1 * 2 * mean * q, plain[0].params, before)
    assert_equal(with_extra[0].params, by_hand, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("execution_class", [JitExecution, PmapExecution])
def test_extras_are_those_of_the_whole_batch(execution_class):
    step = replace(step_of("rnn"), objective=CausalWithAnExtra())
    whole = run(step, JitExecution, 1, carried=True)
    parts = run(replace(step, accumulation_steps=2), execution_class, 2, carried=True)
    assert_equal(parts, whole, rtol=1e-5, atol=1e-5)


class Sowing(LanguageModel):
    """Sows a loss and a measure, of its parameters and of each token."""

    @nn.compact
    def __call__(self, tokens_BT, carry=None, **context):
        table_VV = self.param("table", nn.initializers.normal(1.0), (self.vocabulary_size,) * 2)
        logits_BTV = table_VV[tokens_BT]
        sow_loss(self, "size", 0.1 * jnp.square(logits_BTV).mean())
        sow_measure(self, "tokens", tokens_BT.mean())
        return logits_BTV, carry


def test_what_a_model_sows_is_descended_and_told_however_the_batch_is_spread():
    """All weights are one, so that the parts have the share that their tokens have."""
    model = Sowing(VOCABULARY)
    step = replace(step_of("rnn"), model=model, optimizer=optax.identity())
    (batch,) = batches(1)
    batch = replace(batch, weights_BT=np.ones((ROWS, LENGTH), np.float32))
    state = nn.meta.unbox(begin(step, carried=False))

    def loss(params):
        logits_BTV, _ = model.apply(params, batch.tokens_BT)
        nats_BT = optax.softmax_cross_entropy_with_integer_labels(logits_BTV, batch.targets_BT)
        return nats_BT.mean() + 0.1 * jnp.square(logits_BTV).mean()

    gradient = jax.grad(loss)(state.params)
    for execution_class, devices, parts in (
        (JitExecution, 1, 1),
        (JitExecution, 1, 2),
        (PmapExecution, 2, 2),
    ):
        spread = replace(step, accumulation_steps=parts)
        execution = execution_class(spread, jax.devices()[:devices])
        named = jax.eval_shape(lambda: begin(step, False))
        placed = execution.place_state(state, named)
        after, metrics = execution(placed, execution.place_batch(batch))
        after, metrics = execution.fetch_state(after), execution.fetch(metrics)
        expected = jax.tree.map(lambda p, g: p - 0.1 * g, state.params, gradient)
        assert_equal(after.params, expected, rtol=1e-5, atol=1e-6)
        size = 0.1 * np.square(state.params["params"]["table"][batch.tokens_BT]).mean()
        assert metrics["extras"] == {"size": pytest.approx(size, rel=1e-5)}
        assert metrics["measures"] == {"tokens": pytest.approx(batch.tokens_BT.mean(), rel=1e-5)}


@pytest.mark.parametrize("execution_class", [JitExecution, PmapExecution])
@pytest.mark.parametrize(("family", "carried"), [("rnn", True), ("transformer", False)])
def test_accumulation_is_the_full_batch(family, carried, execution_class):
    whole = run(step_of(family), execution_class, 2, carried)
    parts = run(step_of(family, accumulation_steps=2), execution_class, 2, carried)
    assert_equal(parts, whole, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("accumulation_steps", [1, 2])
def test_frozen_parameters_have_no_gradient_and_never_change(accumulation_steps):
    training = base_config("transformer").training
    training.update(frozen=("embedding", "*/mixer"), weight_decay=0.3, clip_norm=0.01)
    step = step_of("transformer")
    params = nn.meta.unbox(jax.eval_shape(lambda: begin(step, False).params))
    step = replace(
        step,
        optimizer=make_optimizer(training, params),
        frozen_L=tuple(jax.tree.leaves(frozen_leaves(params, training.frozen))),
        accumulation_steps=accumulation_steps,
    )
    first = nn.meta.unbox(begin(step, False).params)
    after, metrics = run(step, JitExecution, 1, False)
    for name, frozen, norm, old, new in zip(
        leaf_names(first),
        step.frozen_L,
        metrics["squared_norms_L"],
        jax.tree.leaves(first),
        jax.tree.leaves(after.params),
        strict=True,
    ):
        assert np.array_equal(old, new) == frozen == (norm == 0), name
    assert 1 < sum(step.frozen_L) < len(step.frozen_L)


@pytest.mark.parametrize("reduction", ["token_mean", "sequence_mean"])
def test_a_step_is_the_gradient_of_the_mean_loss(reduction):
    step = step_of("transformer", loss_reduction=reduction)
    step = replace(step, optimizer=make_optimizer(_sgd(), params_of(step.model)))
    state = nn.meta.unbox(begin(step, carried=False))
    (batch,) = batches(1)

    def loss(params):
        logits_BTV, _ = step.model.apply(params, batch.tokens_BT)
        log_probs_BTV = jax.nn.log_softmax(logits_BTV)
        rows, times = np.indices(batch.targets_BT.shape)
        nats_BT = -log_probs_BTV[rows, times, batch.targets_BT]
        count = ROWS if reduction == "sequence_mean" else batch.weights_BT.sum()
        return (nats_BT * batch.weights_BT).sum() / count

    value, gradient = jax.value_and_grad(loss)(state.params)
    after, metrics = step(state, batch)
    by_hand = jax.tree.map(lambda p, g: p - 0.1 * g, state.params, gradient)
    assert_equal(after.params, by_hand, rtol=1e-5, atol=1e-6)
    count = ROWS if reduction == "sequence_mean" else metrics["weight"]
    assert metrics["nats"] / count == pytest.approx(float(value), rel=1e-5)


def test_the_carry_goes_on_only_in_rows_that_continue():
    step = step_of("rnn")
    state = nn.meta.unbox(begin(step, carried=True))
    first, second = batches(2)
    after, _ = step(state, first)
    _, metrics = step(replace(after, step=jnp.int32(0)), second)
    fresh = initial_carry(step.model, state.params, ROWS, LENGTH)
    keep = second.continues_B
    assert keep.any() and not keep.all()
    mixed = jax.tree.map(
        lambda old, new: jnp.where(keep.reshape(-1, *[1] * (old.ndim - 1)), old, new),
        after.carry,
        fresh,
    )
    log_probs_BT, _ = step.model.apply(
        after.params, second.tokens_BT, second.targets_BT, mixed, method="log_probs"
    )
    assert metrics["nats"] == pytest.approx(-float((log_probs_BT * second.weights_BT).sum()), 1e-5)


class LearnedStart(LanguageModel):
    """Its logits are a bigram's and the carry, which begins as a parameter."""

    def setup(self):
        normal, size = nn.initializers.normal(1.0), self.vocabulary_size
        self.start_V = self.param("start", normal, (size,))
        self.table_VV = self.param("table", normal, (size, size))

    def initial_carry(self, batch_size, max_length):
        return jnp.tile(self.start_V, (batch_size, 1))

    def __call__(self, tokens_BT, carry=None, **context):
        memory_BV = self.initial_carry(len(tokens_BT), 0) if carry is None else carry
        return self.table_VV[tokens_BT] + memory_BV[:, None], carry


@pytest.mark.parametrize("accumulation_steps", [1, 2])
def test_a_learned_initial_carry_has_the_gradient_of_rows_that_begin(accumulation_steps):
    step = replace(
        step_of("rnn", accumulation_steps=accumulation_steps),
        model=LearnedStart(vocabulary_size=VOCABULARY),
        optimizer=optax.identity(),
    )
    (batch,) = batches(1)
    begins = replace(batch, continues_B=np.zeros(ROWS, bool))
    carried, _ = step(begin(step, carried=True), begins)
    uncarried, _ = step(begin(step, carried=False), begins)
    assert_equal(carried.params, uncarried.params, rtol=1e-6, atol=1e-7)
    before = begin(step, carried=True)
    continued, _ = step(before, replace(batch, continues_B=np.ones(ROWS, bool)))
    starts = [state.params["params"]["start"] for state in (before, carried, continued)]
    assert not np.allclose(starts[1], starts[0])
    np.testing.assert_array_equal(starts[2], starts[0])


def test_dropout_is_a_function_of_seed_and_step():
    model = build("rnn", dict(width=8, layers=1, dropout=0.5))
    step = replace(step_of("rnn"), model=model)
    state = nn.meta.unbox(begin(step, carried=False))
    (batch,) = batches(1)

    def nats(seed, number):
        _, metrics = step(replace(state, seed=np.uint32(seed), step=jnp.int32(number)), batch)
        return float(metrics["nats"])

    assert nats(0, 3) == nats(0, 3)
    assert len({nats(0, 3), nats(0, 4), nats(1, 3)}) == 3


def test_each_micro_batch_has_its_own_dropout():
    """Two micro-batches of the same rows, whose dropout alone can make them differ."""
    model = build("rnn", dict(width=8, layers=1, dropout=0.5))
    seen = []

    def watched(*arguments, **context):
        outcome = Causal()(*arguments, **context)
        jax.debug.callback(lambda nats: seen.append(float(nats)), outcome.nats)
        return outcome

    step = replace(step_of("rnn"), model=model, objective=watched, accumulation_steps=2)
    (batch,) = batches(1)
    same_rows = jax.tree.map(lambda leaf: np.repeat(leaf[:2], 2, axis=0), batch)
    step(nn.meta.unbox(begin(step, carried=False)), same_rows)
    jax.effects_barrier()
    assert len(seen) == 2 and seen[0] != seen[1]
    seen.clear()
    step = replace(step, model=build("rnn", dict(width=8, layers=1)))
    step(nn.meta.unbox(begin(step, carried=False)), same_rows)
    jax.effects_barrier()
    assert seen[0] == pytest.approx(seen[1], rel=1e-6)


# Seed, learning rate, warm-up steps, weight decay.
REPLICAS = [(0, 0.1, 0, 0.0), (3, 0.02, 2, 0.1), (11, 0.3, 4, 0.5)]


@pytest.mark.parametrize(("family", "carried"), [("rnn", True), ("transformer", False)])
def test_stacked_replicas_are_the_runs_alone(family, carried):
    """One program trains all of them, whatever their seeds and schedules."""
    training = base_config(family).training
    training.update(optimizer="adamw", warmup="1 steps")
    clock = Clock(steps_per_epoch=5, tokens_per_step=1, total_steps=10)
    model = build(family, dict(width=8, layers=1, dropout=0.2))
    step = replace(
        step_of(family),
        model=model,
        optimizer=make_optimizer(training, params_of(model)),
        schedule=make_schedule(training, clock),
    )

    def start(seed, rate, warmup, decay):
        numbers = replace(
            NUMBERS,
            learning_rate=jnp.float32(rate),
            warmup_steps=jnp.int32(warmup),
            weight_decay=jnp.float32(decay),
        )
        return nn.meta.unbox(begin(step, carried, seed, numbers))

    alone = [start(*replica) for replica in REPLICAS]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *alone)
    together = jax.jit(jax.vmap(step, in_axes=(0, None)))
    for batch in batches(3):
        stacked, _ = together(stacked, batch)
        alone = [step(state, batch)[0] for state in alone]
    for number, state in enumerate(alone):  # Adam divides gradients near zero by their rounding
        assert_equal(jax.tree.map(lambda leaf, n=number: leaf[n], stacked), state, atol=1e-4)
    kernels = [jax.tree.leaves(state.params)[-1] for state in alone]
    assert not np.allclose(kernels[0], kernels[1], atol=1e-2)


def test_impossible_settings_are_refused():
    execution = base_config().execution
    with pytest.raises(UserError, match="loss_reduction 'token_means': did you mean 'token_mean'"):
        step_of("rnn", loss_reduction="token_means")
    with pytest.raises(UserError, match="multiple of training.accumulation_steps"):
        make_execution(execution, step_of("rnn", accumulation_steps=3), ROWS)
    with pytest.raises(UserError, match="objective.name 'casual': did you mean 'causal'"):
        objective_class("casual")
    execution.mode = "pjit"
    with pytest.raises(UserError, match="execution.mode 'pjit': did you mean 'jit'"):
        make_execution(execution, step_of("rnn"), ROWS)


def _sgd():
    training = base_config().training
    training.optimizer = "sgd"
    return training


def test_the_learning_rate_goes_with_the_length_of_the_rows():
    half = replace(step_of("rnn"), full_length=2 * LENGTH)
    _, metrics = run(half, JitExecution, 1, carried=True, steps=1)
    assert metrics["learning_rate"] == pytest.approx(float(NUMBERS.learning_rate) / 2)
