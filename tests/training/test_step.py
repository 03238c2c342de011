"""The step: equal on one device and two, under jit and pmap, whole and in micro-batches."""

from dataclasses import replace

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.config import base_config
from lmjax.data.batch import Batch
from lmjax.errors import UserError
from lmjax.models.contract import initial_carry
from lmjax.training.execution import JitExecution, PmapExecution, make_execution
from lmjax.training.optimizers import make_optimizer
from lmjax.training.state import initial_state
from lmjax.training.step import TrainStep
from tests.properties.variants import VOCABULARY, build

ROWS, LENGTH = 4, 6


def constant_rate(step):
    return jnp.float32(0.1)


def step_of(family, **changes):
    model = build(family, dict(width=8, layers=1))
    training = base_config(family).training
    training.update(dict(optimizer="sgd", clip_norm=0.5))
    return TrainStep(model, make_optimizer(training), constant_rate, seed=0, **changes)


def begin(step, carried):
    return initial_state(
        step.model, step.optimizer, seed=0, batch_size=ROWS, length=LENGTH, carried=carried
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


@pytest.mark.parametrize("execution_class", [JitExecution, PmapExecution])
@pytest.mark.parametrize(("family", "carried"), [("rnn", True), ("transformer", False)])
def test_accumulation_is_the_full_batch(family, carried, execution_class):
    whole = run(step_of(family), execution_class, 2, carried)
    parts = run(step_of(family, accumulation_steps=2), execution_class, 2, carried)
    assert_equal(parts, whole, rtol=1e-5, atol=1e-6)


def test_a_step_is_the_gradient_of_the_mean_loss():
    step = replace(step_of("transformer"), optimizer=make_optimizer(_sgd()))
    state = nn.meta.unbox(begin(step, carried=False))
    (batch,) = batches(1)

    def loss(params):
        logits_BTV, _ = step.model.apply(params, batch.tokens_BT)
        log_probs_BTV = jax.nn.log_softmax(logits_BTV)
        rows, times = np.indices(batch.targets_BT.shape)
        nats_BT = -log_probs_BTV[rows, times, batch.targets_BT]
        return (nats_BT * batch.weights_BT).sum() / batch.weights_BT.sum()

    value, gradient = jax.value_and_grad(loss)(state.params)
    after, metrics = step(state, batch)
    by_hand = jax.tree.map(lambda p, g: p - 0.1 * g, state.params, gradient)
    assert_equal(after.params, by_hand, rtol=1e-5, atol=1e-6)
    assert metrics["nats"] / metrics["weight"] == pytest.approx(float(value), rel=1e-5)


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


def test_dropout_is_a_function_of_seed_and_step():
    model = build("rnn", dict(width=8, layers=1, dropout=0.5))
    step = replace(step_of("rnn"), model=model)
    state = nn.meta.unbox(begin(step, carried=False))
    (batch,) = batches(1)

    def nats(seed, number):
        _, metrics = replace(step, seed=seed)(replace(state, step=jnp.int32(number)), batch)
        return float(metrics["nats"])

    assert nats(0, 3) == nats(0, 3)
    assert len({nats(0, 3), nats(0, 4), nats(1, 3)}) == 3


def test_impossible_settings_are_refused():
    execution = base_config().execution
    with pytest.raises(UserError, match="loss_reduction 'token_means': did you mean 'token_mean'"):
        step_of("rnn", loss_reduction="token_means")
    with pytest.raises(UserError, match="multiple of training.accumulation_steps"):
        make_execution(execution, step_of("rnn", accumulation_steps=3), ROWS)
    execution.mode = "pjit"
    with pytest.raises(UserError, match="execution.mode 'pjit': did you mean 'jit'"):
        make_execution(execution, step_of("rnn"), ROWS)


def _sgd():
    training = base_config().training
    training.optimizer = "sgd"
    return training
