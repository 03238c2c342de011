"""The folded product against one over all dimensions at once, values and gradients."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.nn.dense import Dense

x_BTD = np.random.default_rng(0).normal(size=(2, 3, 5)).astype(np.float32)
weights_BTF = np.random.default_rng(1).normal(size=(2, 3, 4)).astype(np.float32)


@pytest.mark.parametrize("bias", [False, True])
def test_values_and_gradients_are_those_of_the_whole_product(bias):
    dense = Dense(4, ("embed", "mlp"), bias)
    params = nn.meta.unbox(dense.init(jax.random.key(0), x_BTD))
    params = jax.tree.map(lambda leaf: leaf + 0.5, params)

    def folded(params, x_BTD):
        return (dense.apply(params, x_BTD) * weights_BTF).sum()

    def whole(params, x_BTD):
        y_BTF = jnp.einsum("btd,df->btf", x_BTD, params["params"]["kernel"])
        if bias:
            y_BTF += params["params"]["bias"][None, None, :]
        return (y_BTF * weights_BTF).sum()

    found, expected = (jax.value_and_grad(f, (0, 1))(params, x_BTD) for f in (folded, whole))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), found, expected
    )


def test_parameters_carry_the_logical_names_of_their_axes():
    boxed = Dense(4, ("embed", "mlp"), bias=True).init(jax.random.key(0), x_BTD)["params"]
    assert boxed["kernel"].names == ("embed", "mlp")
    assert boxed["bias"].names == ("mlp",)
