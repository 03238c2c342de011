"""Retention and gated linear attention against loops over tokens and heads, from the papers."""

import flax.linen as nn
import jax
import numpy as np
import pytest

from lmjax.errors import UserError
from lmjax.mixers.gated_linear_attention import GatedLinearAttention
from lmjax.mixers.retention import Retention

ROWS, LENGTH, WIDTH, HEADS = 2, 9, 12, 3
CLOSE = dict(rtol=1e-4, atol=1e-4)
x_BTD = np.random.default_rng(0).normal(size=(ROWS, LENGTH, WIDTH)).astype(np.float32)


def read(mixer, **options):
    """`y_BTD, params` of a layer whose weights matter."""
    normal = nn.initializers.normal(0.5)
    mixer = mixer(
        width=WIDTH, heads=HEADS, initializer=normal, output_initializer=normal, chunk=4, **options
    )
    time_BT = np.arange(LENGTH)[None]
    params = nn.meta.unbox(mixer.init(jax.random.key(0), x_BTD, None, time_BT, None, True))
    y_BTD, _ = mixer.apply(params, x_BTD, None, time_BT, None, True)
    return y_BTD, jax.tree.map(np.float64, params["params"])


def of_head(qkv_TE, part, head, widths):
    """The numbers of one head in q, k or v."""
    begin = HEADS * sum(widths[:part]) + head * widths[part]
    return qkv_TE[:, begin : begin + widths[part]]


def swish(x):
    return x / (1 + np.exp(-x))


def gated(params, x_TD, heads):
    """`y_TD = (swish(x W_G) * norm(heads)) W_O`."""
    normed = [
        (y_TV - y_TV.mean(1, keepdims=True)) / np.sqrt(y_TV.var(1, keepdims=True) + 1e-5)
        for y_TV in heads
    ]
    y_TE = swish(x_TD @ params["gated"]["gate"]["kernel"]) * np.concatenate(normed, axis=1)
    return y_TE @ params["gated"]["output"]["kernel"]


def test_retention_follows_the_recurrent_form_of_the_paper():
    """Equations 6 and 8, with each pair of numbers of q and k as one complex number."""
    found_BTD, params = read(Retention)
    keys, values = WIDTH // HEADS, 2 * WIDTH // HEADS
    theta_N = 10_000.0 ** (-2 * np.arange(keys // 2) / keys)
    for row in range(ROWS):
        x_TD = np.float64(x_BTD[row])
        qkv_TE, heads = x_TD @ params["qkv"]["kernel"], []
        for head in range(HEADS):
            q_TK, k_TK, v_TV = (
                of_head(qkv_TE, part, head, (keys, keys, values)) for part in range(3)
            )
            gamma = 1 - 2.0 ** (-5 - head)
            s_NV, y_TV = np.zeros((keys // 2, values), complex), []
            for n in range(LENGTH):
                q_N, k_N = (a[n, : keys // 2] + 1j * a[n, keys // 2 :] for a in (q_TK, k_TK))
                q_N, k_N = q_N * np.exp(1j * n * theta_N), k_N * np.exp(1j * n * theta_N)
                s_NV = gamma * s_NV + np.outer(k_N.conj() / np.sqrt(keys), v_TV[n])
                y_TV.append((q_N @ s_NV).real)
            heads.append(np.array(y_TV))
        np.testing.assert_allclose(found_BTD[row], gated(params, x_TD, heads), **CLOSE)


def test_gated_linear_attention_follows_the_recurrent_form_of_the_paper():
    """Equation 3 with the gates of section 4.4."""
    found_BTD, params = read(GatedLinearAttention, rank=2, temperature=4.0)
    keys, values = WIDTH // HEADS // 2, WIDTH // HEADS
    for row in range(ROWS):
        x_TD = np.float64(x_BTD[row])
        qkv_TE, heads = x_TD @ params["qkv"]["kernel"], []
        low_TR = x_TD @ params["decay_down"]["kernel"]
        gate_TE = low_TR @ params["decay_up"]["kernel"] + params["decay_up"]["bias"]
        alpha_TE = (1 / (1 + np.exp(-gate_TE))) ** (1 / 4)
        for head in range(HEADS):
            q_TK, k_TK, v_TV = (
                of_head(qkv_TE, part, head, (keys, keys, values)) for part in range(3)
            )
            s_KV, y_TV = np.zeros((keys, values)), []
            for n in range(LENGTH):
                alpha_K = alpha_TE[n, head * keys : (head + 1) * keys]
                s_KV = np.outer(alpha_K, np.ones(values)) * s_KV + np.outer(k_TK[n], v_TV[n])
                y_TV.append(q_TK[n] @ s_KV)
            heads.append(np.array(y_TV))
        np.testing.assert_allclose(found_BTD[row], gated(params, x_TD, heads), **CLOSE)


def test_what_cannot_be_is_refused():
    with pytest.raises(UserError, match="not a multiple of twice 4 heads"):
        Retention(width=12, heads=4, initializer=None, output_initializer=None)
    with pytest.raises(UserError, match="its temperature 0.0 is above 0"):
        read(GatedLinearAttention, temperature=0.0)
