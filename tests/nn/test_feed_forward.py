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


def relu(x):
    return np.maximum(x, 0)


def swish(x):
    return x / (1 + np.exp(-x))


def squared_relu(x):
    return np.maximum(x, 0) ** 2


GATED = {"gated_gelu": by_tanh, "geglu": by_tanh, "swiglu": swish}
ACTIVATIONS = {
    "gelu": by_tanh,
    "gelu_exact": exact,
    "relu": relu,
    "swish": swish,
    "squared_relu": squared_relu,
    **GATED,
}


@pytest.mark.parametrize("name", FEED_FORWARDS)
@pytest.mark.parametrize("bias", [False, True])
def test_each_choice_is_products_around_its_activation(name, bias):
    normal = nn.initializers.normal(0.02)
    layer = FEED_FORWARDS[name](
        inner_width=8, bias=bias, initializer=normal, output_initializer=normal
    )
    params = nn.meta.unbox(layer.init(jax.random.key(0), x_BTD))["params"]
    params = jax.tree.map(lambda leaf: 30 * np.asarray(leaf) + 0.5, params)

    def dense(part, x):
        return x @ params[part]["kernel"] + (params[part]["bias"] if bias else 0)

    activation, up_BTF = ACTIVATIONS[name], dense("up", x_BTD)
    inner_BTF = activation(dense("gate", x_BTD)) * up_BTF if name in GATED else activation(up_BTF)
    expected_BTD = dense("down", inner_BTF)
    np.testing.assert_allclose(layer.apply({"params": params}, x_BTD), expected_BTD, rtol=2e-5)
