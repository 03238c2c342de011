"""The feed-forward layer against NumPy, with the exact GELU from SciPy's error function."""

import flax.linen as nn
import jax
import numpy as np
import pytest
from scipy.special import erf

from lmjax.nn.feed_forward import FEED_FORWARDS

x_BTD = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)


def exact(x):
    return 0.5 * x * (1 + erf(x / np.sqrt(2)))


def by_tanh(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


@pytest.mark.parametrize(("name", "gelu"), [("gelu", by_tanh), ("gelu_exact", exact)])
@pytest.mark.parametrize("bias", [False, True])
def test_each_choice_is_two_products_around_its_activation(name, gelu, bias):
    normal = nn.initializers.normal(0.02)
    layer = FEED_FORWARDS[name](
        inner_width=8, bias=bias, initializer=normal, output_initializer=normal
    )
    params = nn.meta.unbox(layer.init(jax.random.key(0), x_BTD))["params"]
    params = jax.tree.map(lambda leaf: 30 * np.asarray(leaf) + 0.5, params)
    up, down = (
        (params[part]["kernel"], params[part]["bias"] if bias else 0) for part in ("up", "down")
    )
    expected_BTD = gelu(x_BTD @ up[0] + up[1]) @ down[0] + down[1]
    np.testing.assert_allclose(layer.apply({"params": params}, x_BTD), expected_BTD, rtol=2e-5)
