"""Mamba: the step against the paper's equations, its forms against each other."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.errors import UserError
from lmjax.mixers.mamba import Mamba, parallel, step
from lmjax.nn.initializers import symmetric_uniform

ROWS, LENGTH, WIDTH, INNER, STATES, TAPS, RANK = 2, 7, 5, 10, 3, 4, 2
CLOSE = dict(rtol=1e-5, atol=1e-5)
generator = np.random.default_rng(0)
x_BTD, pull_BTD = generator.normal(size=(2, ROWS, LENGTH, WIDTH)).astype(np.float32)
segment_ids_BT = np.array([[0, 0, 3, 3, 3, 0, 0], [5, 5, 5, 5, 5, 5, 6]], np.int32)
positions_BT = np.array([[0, 1, 0, 1, 2, 0, 1], [0, 1, 2, 3, 4, 5, 0]], np.int32)


def draw_space():
    """`h_BNE, x_BTE, delta_BTE, a_EN, b_BTN, c_BTN`."""
    shapes = [
        (ROWS, STATES, INNER),
        (ROWS, LENGTH, INNER),
        (ROWS, LENGTH, INNER),
        (INNER, STATES),
        (ROWS, LENGTH, STATES),
        (ROWS, LENGTH, STATES),
    ]
    h, x, delta, a, b, c = (generator.normal(size=shape).astype(np.float32) for shape in shapes)
    return h, x, np.abs(delta), -np.abs(a), b, c


def test_the_step_follows_the_equations_of_the_paper():
    """Algorithm 2, one number of the state at a time."""
    h_BNE, x_BTE, delta_BTE, a_EN, b_BTN, c_BTN = draw_space()
    begins_B = np.array([False, True])
    token = x_BTE[:, 0], delta_BTE[:, 0], b_BTN[:, 0], c_BTN[:, 0]
    y_BE, after_BNE = step(h_BNE, *token, begins_B, a_BNE=a_EN.T[None])
    for row, begins in enumerate(begins_B):
        for e in range(INNER):
            y, delta = 0.0, delta_BTE[row, 0, e]
            for n in range(STATES):
                h = 0.0 if begins else h_BNE[row, n, e]
                h = np.exp(delta * a_EN[e, n]) * h + delta * b_BTN[row, 0, n] * x_BTE[row, 0, e]
                np.testing.assert_allclose(after_BNE[row, n, e], h, **CLOSE)
                y += c_BTN[row, 0, n] * h
            np.testing.assert_allclose(y_BE[row, e], y, **CLOSE)


@pytest.mark.parametrize("resets", [False, True])
def test_the_parallel_form_is_step_after_step(resets):
    """Values, and gradients by everything."""
    space = draw_space()
    begins_BT = (positions_BT == 0) & resets
    weights = [generator.normal(size=(ROWS, LENGTH, INNER)), generator.normal(size=space[0].shape)]

    def stepwise(h_BNE, x_BTE, delta_BTE, a_EN, b_BTN, c_BTN):
        found = []
        for t in range(LENGTH):
            token = x_BTE[:, t], delta_BTE[:, t], b_BTN[:, t], c_BTN[:, t], begins_BT[:, t]
            y_BE, h_BNE = step(h_BNE, *token, a_BNE=a_EN.T[None])
            found.append(y_BE)
        return jnp.stack(found, axis=1), h_BNE

    def whole(h_BNE, x_BTE, delta_BTE, a_EN, b_BTN, c_BTN):
        return parallel(h_BNE, x_BTE, delta_BTE, b_BTN, c_BTN, begins_BT, a_BNE=a_EN.T[None])

    def outcome(form):
        def total(*space):
            results = form(*space)
            return sum((w * leaf).sum() for w, leaf in zip(weights, results, strict=True)), results

        return jax.jit(jax.grad(total, argnums=tuple(range(6)), has_aux=True))(*space)

    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4),
        outcome(whole),
        outcome(stepwise),
    )


def make(**changes):
    fields = dict(state_width=STATES, convolution_width=TAPS, rank=RANK) | changes
    uniform = symmetric_uniform(1.0)
    return Mamba(width=WIDTH, initializer=uniform, output_initializer=uniform, **fields)


@pytest.fixture(scope="module")
def params():
    return nn.meta.unbox(make().init(jax.random.key(0), x_BTD, None, positions_BT, None, True))


@jax.jit
def read(params, x_BTD, carry, positions_BT, segments):
    return make().apply(params, x_BTD, carry, positions_BT, segments, True)


@pytest.mark.parametrize("sizes", [[2, 5], [1] * LENGTH], ids=str)
def test_chunks_give_what_the_whole_row_gives(params, sizes):
    """Values and gradients, over the borders of segments; what was read before is forgotten."""

    def in_chunks(x_BTD):
        after, found, begin = make().initial_carry(ROWS, 0), [], 0
        after = jax.tree.map(lambda leaf: leaf + 1, after)
        for size in sizes:
            part = slice(begin, begin + size)
            chunk = x_BTD[:, part], after, positions_BT[:, part], segment_ids_BT[:, part]
            y_BTD, after = read(params, *chunk)
            found.append(y_BTD)
            begin += size
        return jnp.concatenate(found, axis=1)

    def whole(x_BTD):
        return read(params, x_BTD, None, positions_BT, segment_ids_BT)[0]

    expected_BTD, pull_whole = jax.vjp(whole, x_BTD)
    found_BTD, pull_chunks = jax.vjp(in_chunks, x_BTD)
    np.testing.assert_allclose(found_BTD, expected_BTD, **CLOSE)
    np.testing.assert_allclose(pull_chunks(pull_BTD)[0], pull_whole(pull_BTD)[0], **CLOSE)


def test_parameters_begin_as_in_the_paper():
    model = make(state_width=16)
    params = nn.meta.unbox(model.init(jax.random.key(0), x_BTD, None, positions_BT, None, True))
    params = params["params"]
    np.testing.assert_allclose(-np.exp(params["log_decay"]), [-np.arange(1.0, 17)] * INNER, 1e-5)
    steps_E = nn.softplus(params["step_bias"])
    assert 1e-3 <= steps_E.min() < 1e-2 < steps_E.max() <= 0.1


def test_sizes_below_one_are_refused():
    with pytest.raises(UserError, match="convolution_width of mamba is 0"):
        make(convolution_width=0)
