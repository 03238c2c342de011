"""mLSTM and sLSTM against loops over tokens and heads, from the equations of Beck et al. (2024).

The loops have no stabiliser: what they compute is what gates and memories say, in float64.
"""

from functools import partial

import jax
import numpy as np
import pytest

from lmjax.errors import UserError
from lmjax.mixers import matrix_memory
from lmjax.mixers.forms import by_steps
from tests.mixers.whole_layer import (
    HEADS,
    WIDTH,
    check_extremes,
    check_layer,
    convolved,
    head_norm,
    initial_params,
    make_layer,
    sigmoid,
    silu,
)


def by_blocks(kernel_HKJ, x_E):
    """Each part of x by its own matrix."""
    parts = np.split(x_E, len(kernel_HKJ))
    return np.concatenate(
        [part @ kernel_KJ for part, kernel_KJ in zip(parts, kernel_HKJ, strict=True)]
    )


def mlstm(params, x_TD):
    """Section 2.3 (equations 19 to 27) within Figure 11."""
    inner = 2 * WIDTH
    k_width = inner // HEADS
    both_TE = x_TD @ params["up"]["kernel"]
    x_TE, gate_TE = both_TE[:, :inner], both_TE[:, inner:]
    convolved_TE = silu(convolved(params["convolution"], x_TE))
    memories, normalisers, found = (
        np.zeros((HEADS, k_width, k_width)),
        np.zeros((HEADS, k_width)),
        [],
    )
    for x_E, convolved_E, gate_E in zip(x_TE, convolved_TE, gate_TE, strict=True):
        sources = dict(q=convolved_E, k=convolved_E, v=x_E)
        q_E, k_E, v_E = (by_blocks(params[name]["kernel"], e) for name, e in sources.items())
        gates = (
            np.concatenate([q_E, k_E, v_E]) @ params["gates"]["kernel"] + params["gates"]["bias"]
        )
        i_H, f_H = np.exp(gates[:HEADS]), sigmoid(gates[HEADS:])
        outputs = []
        for head in range(HEADS):
            q, k, v = (e[head * k_width : (head + 1) * k_width] for e in (q_E, k_E, v_E))
            k = k / np.sqrt(k_width)
            memories[head] = f_H[head] * memories[head] + i_H[head] * np.outer(v, k)
            normalisers[head] = f_H[head] * normalisers[head] + i_H[head] * k
            outputs.append(memories[head] @ q / max(abs(normalisers[head] @ q), 1.0))
        y_E = head_norm(np.array(outputs), params["norm"]) + params["skip"] * convolved_E
        found.append((y_E * silu(gate_E)) @ params["down"]["kernel"])
    return np.array(found)


def slstm(params, x_TD):
    """Section 2.2 (equations 8 to 14) within Figure 10."""
    convolved_TD = silu(convolved(params["convolution"], x_TD))
    k_width = WIDTH // HEADS
    y_HK, c_HK, n_HK = np.zeros((3, HEADS, k_width))
    found = []
    for x_D, convolved_D in zip(x_TD, convolved_TD, strict=True):
        sources = dict(input_gate=convolved_D, forget_gate=convolved_D, cell=x_D, output_gate=x_D)
        sums = {
            name: by_blocks(params[name]["kernel"], source_D).reshape(HEADS, k_width)
            for name, source_D in sources.items()
        }
        for gate, name in enumerate(sums):
            part = slice(gate * k_width, (gate + 1) * k_width)
            recurrent = [y_HK[h] @ params["recurrent_kernel"][h][:, part] for h in range(HEADS)]
            sums[name] = sums[name] + recurrent + params["bias"][:, part]
        i_HK, f_HK = np.exp(sums["input_gate"]), sigmoid(sums["forget_gate"])
        c_HK = f_HK * c_HK + i_HK * np.tanh(sums["cell"])
        n_HK = f_HK * n_HK + i_HK
        y_HK = sigmoid(sums["output_gate"]) * c_HK / n_HK
        found.append(head_norm(y_HK, params["norm"]))
    return np.array(found)


def test_mlstm_follows_the_paper():
    check_layer("mlstm", mlstm, chunk=4)


def test_slstm_follows_the_paper():
    check_layer("slstm", slstm)


def test_gates_far_out_are_safe():
    """Input gates of exp(+-200), and memories that are forgotten at once or never."""
    random, length, k, p = np.random.default_rng(0), 24, 4, 5

    def draw(*shape):
        return random.normal(size=shape).astype(np.float32)

    memory = matrix_memory.empty_memory(1, 1, k, p)
    heads = draw(1, length, 1, k), draw(1, length, 1, k), draw(1, length, 1, p)
    begins_BT = np.zeros((1, length), bool)
    form = [jax.jit(matrix_memory.parallel), jax.jit(partial(by_steps, matrix_memory.step))]
    for forget in (0.0, -200.0):
        gates = 100 * draw(1, length, 1), np.full((1, length, 1), forget, np.float32)
        inputs = [*heads, *gates, begins_BT]
        check_extremes(form, memory, inputs)
        for found, expected in zip(*(one(memory, *inputs)[0] for one in form), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


def test_parameters_begin_as_in_the_papers():
    bias_G = initial_params(make_layer("mlstm"))["gates"]["bias"]
    np.testing.assert_allclose(bias_G[HEADS:], [3.0, 4.5, 6.0])
    assert 0 < np.abs(bias_G[:HEADS]).max() < 0.5
    bias_G = initial_params(make_layer("mlstm_large"))["gates"]["bias"]
    np.testing.assert_allclose(bias_G, [-10, -10, -10, 3, 4.5, 6])
    bias_HG = initial_params(make_layer("slstm"))["bias"].reshape(HEADS, 4, -1)
    np.testing.assert_allclose(bias_HG[:, 1, [0, -1]], [[5.0, -7.0]] * HEADS)
    assert not bias_HG[:, [0, 2, 3]].any()


def test_what_can_not_be_is_refused():
    with pytest.raises(UserError, match="24 of mlstm is not a multiple of projection_block 5"):
        make_layer("mlstm", projection_block=5)
    with pytest.raises(UserError, match="the key_width 7 of mlstm_large is not a multiple"):
        make_layer("mlstm_large", key_width=7)
    with pytest.raises(UserError, match=f"model.width {WIDTH} is not a multiple of model.heads 5"):
        make_layer("slstm", heads=5)
