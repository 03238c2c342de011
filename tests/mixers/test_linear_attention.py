"""Linear attention against weights of all pairs of tokens, each feature map by its kernel."""

import flax.linen as nn
import jax
import numpy as np
import pytest

from lmjax.errors import UserError
from lmjax.mixers.linear_attention import LinearAttention

ROWS, LENGTH, WIDTH, HEADS, KEYS = 2, 7, 6, 3, 5
x_BTD = np.random.default_rng(0).normal(size=(ROWS, LENGTH, WIDTH)).astype(np.float32)
KERNELS = {
    "elu": lambda q, k: np.sum(
        (np.where(q > 0, q + 1, np.exp(q))) * np.where(k > 0, k + 1, np.exp(k)), axis=-1
    ),
    "identity": lambda q, k: np.sum(q * k, axis=-1),
    "relu": lambda q, k: np.sum(np.maximum(q, 0) * np.maximum(k, 0), axis=-1),
    "taylor": lambda q, k: 1 + np.sum(q * k, -1) / KEYS**0.5 + np.sum(q * k, -1) ** 2 / (2 * KEYS),
}


def make(**options):
    normal = nn.initializers.normal(0.5)
    given = dict(bias=True, initializer=normal, output_initializer=normal)
    return LinearAttention(width=WIDTH, heads=HEADS, **given, **options)


@pytest.mark.parametrize("feature_map", KERNELS)
@pytest.mark.parametrize("normalized", [True, False])
def test_it_is_attention_with_the_kernel_for_weights(feature_map, normalized):
    if normalized and feature_map == "identity":
        with pytest.raises(UserError, match="set normalized=False"):
            make(feature_map=feature_map)
        return
    mixer = make(feature_map=feature_map, normalized=normalized, key_width=KEYS, chunk=3)
    time_BT = np.arange(LENGTH)[None]
    params = nn.meta.unbox(mixer.init(jax.random.key(0), x_BTD, None, time_BT, None, True))
    found_BTD, _ = mixer.apply(params, x_BTD, None, time_BT, None, True)
    project, output = (params["params"][name] for name in ("qkv", "output"))
    project, output = jax.tree.map(np.asarray, (project, output))
    qkv_BTE = np.float64(x_BTD) @ project["kernel"] + project["bias"]
    values = WIDTH // HEADS
    for row in range(ROWS):
        heads = []
        for head in range(HEADS):
            q_TK = qkv_BTE[row, :, head * KEYS : (head + 1) * KEYS]
            k_TK = qkv_BTE[row, :, (HEADS + head) * KEYS : (HEADS + head + 1) * KEYS]
            v_TV = qkv_BTE[row, :, 2 * HEADS * KEYS :][:, head * values : (head + 1) * values]
            weights_TS = np.tril(KERNELS[feature_map](q_TK[:, None], k_TK[None]))
            if normalized:
                weights_TS /= weights_TS.sum(axis=1, keepdims=True) + 1e-6
            heads.append(weights_TS @ v_TV)
        expected_TD = np.concatenate(heads, axis=1) @ output["kernel"] + output["bias"]
        np.testing.assert_allclose(found_BTD[row], expected_TD, rtol=1e-4, atol=1e-4)


def test_what_cannot_be_is_refused():
    with pytest.raises(UserError, match="did you mean 'taylor'"):
        make(feature_map="tailor")
    with pytest.raises(UserError, match="chunk 0 of linear_attention"):
        make(chunk=0)
