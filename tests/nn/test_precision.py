"""bfloat16 activations: every matrix product in it, everything that is summed long in float32."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import jaxprs_in_params

from lmjax.nn.norms import LayerNorm
from tests.properties.variants import VOCABULARY, build

FIELDS = dict(layers=2, width=16, heads=2, context_length=8)
tokens_BT = np.random.default_rng(0).integers(0, VOCABULARY, (2, 8), np.int32)


def products(jaxpr):
    """Every matrix product of a program and of those inside it."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            yield equation
        for inner in jaxprs_in_params(equation.params):
            yield from products(inner)


@pytest.fixture(scope="module", params=[True, False], ids=["tied", "untied"])
def pair(request):
    """The gradient of the mean log-probability in float32 and in bfloat16, and parameters."""
    models = [
        build("transformer", FIELDS | dict(dtype=dtype, tied=request.param))
        for dtype in ("float32", "bfloat16")
    ]
    params = nn.meta.unbox(jax.jit(models[1].init)(jax.random.key(0), tokens_BT))

    def gradient(model):
        def mean(params):
            log_probs_BT, _ = model.apply(params, tokens_BT, tokens_BT, method="log_probs")
            return log_probs_BT.mean(), log_probs_BT

        return jax.grad(mean, has_aux=True)

    return [gradient(model) for model in models], params


def test_parameters_log_probs_and_gradients_are_float32(pair):
    (_, gradient), params = pair
    results = jax.eval_shape(gradient, params)
    assert {leaf.dtype for leaf in jax.tree.leaves((params, results))} == {jnp.dtype("float32")}


def test_every_matrix_product_reads_bfloat16(pair):
    (single, half), params = pair
    for gradient, dtype in ((single, "float32"), (half, "bfloat16")):
        found = list(products(jax.make_jaxpr(gradient)(params).jaxpr))
        assert len(found) > 20
        assert {var.aval.dtype for each in found for var in each.invars} == {jnp.dtype(dtype)}


def test_results_are_those_of_float32_up_to_its_eight_bits(pair):
    (single, half), params = pair
    (expected, expected_BT), (found, found_BT) = (jax.jit(g)(params) for g in (single, half))
    np.testing.assert_allclose(found_BT, expected_BT, rtol=0.01)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert np.linalg.norm(a - b) < 0.03 * np.linalg.norm(b)
    assert np.abs(found_BT - expected_BT).max() > 1e-5


def test_a_norm_takes_its_statistics_in_float32():
    x_BTD = 100 + np.random.default_rng(0).normal(size=(1, 1, 512))
    x_BTD = jnp.asarray(x_BTD, jnp.bfloat16)
    norm = LayerNorm()
    params = norm.init(jax.random.key(0), x_BTD)
    expected_BTD = norm.apply(params, x_BTD.astype(jnp.float32))
    found_BTD = norm.apply(params, x_BTD)
    assert found_BTD.dtype == jnp.bfloat16
    np.testing.assert_allclose(found_BTD.astype(np.float32), expected_BTD, rtol=0.01, atol=0.01)
