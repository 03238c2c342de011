"""DeltaNet and gated DeltaNet against loops over tokens and heads, from the papers' equations."""

from functools import partial

import jax
import numpy as np
import pytest

from lmjax.errors import UserError
from lmjax.mixers.delta_rule import parallel, solve_unit_lower, step
from lmjax.mixers.forms import by_steps
from tests.mixers.whole_layer import (
    HEADS,
    WIDTH,
    check_extremes,
    check_layer,
    convolved,
    initial_params,
    make_layer,
    sigmoid,
    silu,
)

K, P = 4, 5


def loop(params, x_TD, value_heads=HEADS, strength=1.0):
    """Yang et al. 2024, section 2.2: `S = S (alpha (I - beta k k^T)) + beta v k^T`, `o = S q`."""
    qkv_TE = silu(convolved(params["convolution"], x_TD @ params["qkv"]["kernel"]))
    q_TE, k_TE, v_TE = np.split(qkv_TE, [HEADS * K, 2 * HEADS * K], axis=1)
    memories, found = np.zeros((value_heads, P, K)), []
    for time, x_D in enumerate(x_TD):
        beta_H, outputs = strength * sigmoid(x_D @ params["beta"]["kernel"]), []
        alpha_H = np.ones(value_heads)
        if "step" in params:
            step_H = np.log1p(np.exp(x_D @ params["step"]["kernel"] + params["step_bias"]))
            alpha_H = np.exp(-np.exp(params["log_rate"]) * step_H)
        for head in range(value_heads):
            keys = slice(head * HEADS // value_heads * K, (head * HEADS // value_heads + 1) * K)
            q, k = (e / np.sqrt(e @ e + 1e-6) for e in (q_TE[time, keys], k_TE[time, keys]))
            v = v_TE[time, head * P : (head + 1) * P]
            erase = np.eye(K) - beta_H[head] * np.outer(k, k)
            memories[head] = alpha_H[head] * memories[head] @ erase + beta_H[head] * np.outer(v, k)
            y = memories[head] @ q / np.sqrt(K)
            outputs.append(params["norm"]["scale"] * y / np.sqrt(np.mean(y**2) + 1e-5))
        y_E = np.concatenate(outputs)
        if "gate" in params:
            y_E = y_E * silu(x_D @ params["gate"]["kernel"])
        found.append(y_E @ params["output"]["kernel"])
    return np.array(found)


def test_delta_net_follows_the_paper():
    options = dict(chunk=4, negative_eigenvalues=True, value_head_width=P)
    check_layer("delta_net", lambda *inputs: loop(*inputs, strength=2.0), **options)


def test_gated_delta_net_follows_the_paper_with_more_heads_of_values():
    options = dict(chunk=4, value_heads=2 * HEADS, value_head_width=P)
    check_layer("gated_delta_net", lambda *inputs: loop(*inputs, value_heads=2 * HEADS), **options)


def test_it_is_safe_where_keys_repeat_and_decays_are_strong():
    """Substitution stays exact where powers of the system's matrix would be beyond float32."""
    random, length = np.random.default_rng(0), 96
    state, q = random.normal(size=(1, 1, K, P)), random.normal(size=(1, length, 1, K))
    v = random.normal(size=(1, length, 1, P))
    k = np.ones((1, length, 1, K)) / 2
    begins_BT = np.zeros((1, length), bool)
    form = [jax.jit(parallel), jax.jit(partial(by_steps, step))]
    for decay in (0.0, -300.0):
        beta_BTH, decay_BTH = np.full((1, length, 1), 1.9), np.full((1, length, 1), decay)
        inputs = [np.float32(leaf) for leaf in (q, k, v, decay_BTH, beta_BTH)]
        check_extremes(form, np.float32(state), [*inputs, begins_BT])
        results = [one(np.float32(state), *inputs, begins_BT)[0] for one in form]
        np.testing.assert_allclose(*results, rtol=1e-3, atol=1e-3)


def test_weak_decays_are_exact_behind_strong_ones():
    """Within a chunk: sums over time must not grow so large that small decays are rounded away."""
    random, length = np.random.default_rng(0), 32
    q, k = random.normal(size=(2, 1, length, 1, K)) / 2
    state, v = random.normal(size=(1, 1, K, P)), random.normal(size=(1, length, 1, P))
    decay_BTH = np.where(np.arange(length) < length // 2, -3000.0, -0.01)[None, :, None]
    inputs = q, k, v, decay_BTH, np.full((1, length, 1), 0.5)
    inputs = [np.float32(leaf) for leaf in inputs]
    begins_BT = np.zeros((1, length), bool)
    forms = parallel, partial(by_steps, step)
    results = [jax.jit(form)(np.float32(state), *inputs, begins_BT)[0] for form in forms]
    np.testing.assert_allclose(*results, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("length", [1, 2, 5, 16, 37, 64])
def test_a_triangular_system_and_its_gradients_are_those_of_numpy(length):
    """With numbers on and above the diagonal, which don't count."""
    generator = np.random.default_rng(length)
    lower_BHTS = generator.normal(size=(2, 3, length, length)).astype(np.float32)
    lower_BHTS /= np.sqrt(length)
    right_BHTP, pull_BHTP = generator.normal(size=(2, 2, 3, length, 4)).astype(np.float32)
    matrix_BHTS = np.tril(np.float64(lower_BHTS), -1) + np.eye(length)
    expected_BHTP = np.linalg.solve(matrix_BHTS, right_BHTP)
    x_BHTP, pull = jax.vjp(solve_unit_lower, lower_BHTS, right_BHTP)
    np.testing.assert_allclose(x_BHTP, expected_BHTP, rtol=1e-5, atol=1e-5)
    lower_gradient_BHTS, right_gradient_BHTP = pull(pull_BHTP)
    expected_gradient_BHTP = np.linalg.solve(matrix_BHTS.swapaxes(-1, -2), pull_BHTP)
    np.testing.assert_allclose(right_gradient_BHTP, expected_gradient_BHTP, rtol=1e-5, atol=1e-5)
    outer_BHTS = -np.tril(expected_gradient_BHTP @ expected_BHTP.swapaxes(-1, -2), -1)
    np.testing.assert_allclose(lower_gradient_BHTS, outer_BHTS, rtol=1e-5, atol=1e-5)
    ones_BHTS = np.ones_like(lower_BHTS)  # as where all keys are the same: (I + L)^-1 is small
    expected_BHTP = np.linalg.solve(np.tril(np.float64(ones_BHTS)), right_BHTP)
    np.testing.assert_allclose(solve_unit_lower(ones_BHTS, right_BHTP), expected_BHTP, atol=1e-5)
    program = jax.jit(solve_unit_lower).lower(lower_BHTS, right_BHTP).as_text()
    assert "lapack" not in program  # it never ends where rows are spread over a CPU's devices


def test_parameters_begin_as_in_the_paper():
    params = initial_params(make_layer("gated_delta_net", value_heads=30))
    steps_H = np.log1p(np.exp(params["step_bias"]))
    assert 1e-3 <= steps_H.min() < 1e-2 < steps_H.max() <= 0.1
    assert 0.01 <= np.exp(params["log_rate"]).min() < 4 < np.exp(params["log_rate"]).max() <= 16


def test_what_can_not_be_is_refused():
    with pytest.raises(UserError, match="value_heads of gated_delta_net is 4; give a multiple of"):
        make_layer("gated_delta_net", value_heads=4)
    with pytest.raises(UserError, match="chunk of gated_delta_net is 0"):
        make_layer("gated_delta_net", chunk=0)
    with pytest.raises(UserError, match=f"model.width {WIDTH} is not a multiple of model.heads 5"):
        make_layer("delta_net", heads=5)
