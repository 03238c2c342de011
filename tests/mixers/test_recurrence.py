from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.linen import meta

from lmjax.mixers import recurrence
from lmjax.mixers.recurrent_layer import CELLS, RecurrentLayer
from lmjax.nn.initializers import symmetric_uniform
from tests.properties.variants import build

ROWS, LENGTH, WIDTH = 2, 6, 5


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def reference(cell, kernel_DG, bias_G, state, input_BG):
    """The equations of the papers, one unit's gates after another."""
    h_BD = np.asarray(state[0])
    sums_BG = h_BD @ np.asarray(kernel_DG) + (0 if bias_G is None else np.asarray(bias_G))
    x = np.split(np.asarray(input_BG), cell.gates, axis=1)
    u = np.split(sums_BG, cell.gates, axis=1)
    if cell is CELLS["elman"]:
        return (np.tanh(x[0] + u[0]),)
    if cell is CELLS["gru"]:
        reset, update = sigmoid(x[0] + u[0]), sigmoid(x[1] + u[1])
        return (update * h_BD + (1 - update) * np.tanh(x[2] + reset * u[2]),)
    if cell is CELLS["coupled_lstm"]:
        forget = sigmoid(x[0] + u[0])
        c_BD = forget * state[1] + (1 - forget) * np.tanh(x[1] + u[1])
        return sigmoid(x[2] + u[2]) * np.tanh(c_BD), c_BD
    if cell is CELLS["capped_lstm"]:
        forget, enter = sigmoid(x[1] + u[1]), sigmoid(x[0] + u[0])
        c_BD = forget * state[1] + np.minimum(enter, 1 - forget) * np.tanh(x[2] + u[2])
        return sigmoid(x[3] + u[3]) * np.tanh(c_BD), c_BD
    c_BD = sigmoid(x[1] + u[1]) * state[1] + sigmoid(x[0] + u[0]) * np.tanh(x[2] + u[2])
    return sigmoid(x[3] + u[3]) * np.tanh(c_BD), c_BD


def draw(cell, resets, padded=False):
    keys = jax.random.split(jax.random.key(0), 6)
    gates = cell.gates * WIDTH
    kernel_DG = jax.random.normal(keys[0], (WIDTH, gates))
    bias_G = jax.random.normal(keys[1], (gates,)) if cell.recurrent_biases else None
    state = tuple(jax.random.normal(keys[2], (cell.states, ROWS, WIDTH)))
    input_TBG = jax.random.normal(keys[3], (LENGTH, ROWS, gates))
    begins_TB = jax.random.bernoulli(keys[4], 0.4, (LENGTH, ROWS)) if resets else None
    padding_TB = jax.random.bernoulli(keys[5], 0.4, (LENGTH, ROWS)) if padded else None
    return kernel_DG, bias_G, state, input_TBG, begins_TB, padding_TB


BREAKS = [(False, False), (True, False), (True, True)]


@pytest.mark.parametrize("resets, padded", BREAKS)
@pytest.mark.parametrize("name", CELLS)
def test_forms_follow_the_equations(name, resets, padded):
    cell = CELLS[name]
    drawn = draw(cell, resets, padded)
    kernel_DG, bias_G, state, input_TBG, begins_TB, padding_TB = drawn
    expected_TBD, after = [], state
    for time in range(LENGTH):
        if resets:
            after = [np.where(begins_TB[time][:, None], 0, leaf_BD) for leaf_BD in after]
        before, after = after, reference(cell, kernel_DG, bias_G, after, input_TBG[time])
        if padded:
            kept_B = np.asarray(padding_TB[time])[:, None]
            after = [np.where(kept_B, *pair) for pair in zip(before, after, strict=True)]
        expected_TBD.append(after[0])
    for form in (recurrence.sequence, recurrence.fast):
        y_TBD, final = form(cell, *drawn)
        np.testing.assert_allclose(y_TBD, np.stack(expected_TBD), rtol=1e-5, atol=1e-6)
        for leaf_BD, expected_BD in zip(final, after, strict=True):
            np.testing.assert_allclose(leaf_BD, expected_BD, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("resets, padded", BREAKS)
@pytest.mark.parametrize("name", CELLS)
def test_fast_has_the_gradients_of_sequence(name, resets, padded):
    cell = CELLS[name]
    kernel_DG, bias_G, state, input_TBG, *breaks = draw(cell, resets, padded)
    shapes = jax.eval_shape(lambda: recurrence.sequence(cell, *draw(cell, resets)))
    weights = jax.tree.map(lambda leaf: np.random.default_rng(1).normal(size=leaf.shape), shapes)

    def gradients(form):
        def total(kernel_DG, bias_G, state, input_TBG):
            results = form(cell, kernel_DG, bias_G, state, input_TBG, *breaks)
            return sum(
                jnp.sum(leaf * weight)
                for leaf, weight in zip(
                    jax.tree.leaves(results), jax.tree.leaves(weights), strict=True
                )
            )

        return jax.jit(jax.grad(total, argnums=(0, 1, 2, 3)))(kernel_DG, bias_G, state, input_TBG)

    jax.tree.map(
        lambda fast, sequence: np.testing.assert_allclose(fast, sequence, rtol=1e-4, atol=1e-5),
        gradients(recurrence.fast),
        gradients(recurrence.sequence),
    )


def make_layer(forget_bias=0.0):
    """A layer, its parameters and the arguments that it takes before the segment ids."""
    layer = RecurrentLayer(width=WIDTH, initializer=symmetric_uniform(0.1), forget_bias=forget_bias)
    state = layer.initial_carry(ROWS, LENGTH)
    arguments = jnp.ones((ROWS, LENGTH, 3)), state, jnp.zeros((ROWS, LENGTH), jnp.int32)
    return layer, meta.unbox(layer.init(jax.random.key(0), *arguments, None, True)), arguments


def test_without_segments_nothing_is_compiled_for_resets():
    layer, params, arguments = make_layer()

    def program(segment_ids_BT):
        return str(
            jax.make_jaxpr(partial(layer.apply, deterministic=True))(
                params, *arguments, segment_ids_BT
            )
        )

    assert "select_n" in program(arguments[-1])
    assert "select_n" not in program(None)


def test_the_output_has_the_type_of_the_input_and_the_state_is_float32():
    layer, params, (x_BTD, state, positions_BT) = make_layer()
    wide_BTD, _ = layer.apply(params, x_BTD, state, positions_BT, None, True)
    narrow = x_BTD.astype(jnp.bfloat16)
    narrow_BTD, state = layer.apply(params, narrow, state, positions_BT, None, True)
    assert (wide_BTD.dtype, narrow_BTD.dtype) == (jnp.float32, jnp.bfloat16)
    assert {leaf_BD.dtype for leaf_BD in state} == {jnp.dtype("float32")}
    np.testing.assert_allclose(narrow_BTD.astype(jnp.float32), wide_BTD, rtol=0.02, atol=0.002)


@pytest.mark.parametrize("scan_layers", [False, True])
def test_recurrent_layers_of_a_transformer_compute_in_bfloat16(scan_layers):
    changes = dict(layers=2, pattern=("recurrent",), dtype="bfloat16", scan_layers=scan_layers)
    model = build("transformer", changes)
    tokens_BT = jnp.zeros((ROWS, LENGTH), jnp.int32)
    params = jax.eval_shape(model.init, jax.random.key(0), tokens_BT)
    logits_BTV, _ = jax.eval_shape(model.apply, params, tokens_BT)
    assert logits_BTV.dtype == jnp.float32


def test_forget_bias_is_added_to_the_forget_gate_alone():
    with_bias, without = (
        make_layer(forget_bias)[1]["params"]["bias"].reshape(4, WIDTH) for forget_bias in (1.0, 0.0)
    )
    added = [[0] * WIDTH, [1] * WIDTH, [0] * WIDTH, [0] * WIDTH]
    np.testing.assert_allclose(with_bias - without, added, atol=1e-6)
