"""Normalisations against NumPy in double precision."""

import flax.linen as nn
import jax
import numpy as np
import pytest

from lmjax.nn.norms import NORMS, LayerNorm, RMSNorm

x_BTD = (3 + 2 * np.random.default_rng(0).normal(size=(2, 3, 8))).astype(np.float32)
weights_BTD = np.random.default_rng(1).normal(size=x_BTD.shape)
scale_D, bias_D = np.random.default_rng(2).normal(size=(2, 8))


def layer_norm(x_BTD, scale_D, bias_D):
    """Ba et al. 2016, equation 4, with the usual 1e-5 in the root."""
    deviation_BT1 = np.sqrt(x_BTD.var(axis=-1, keepdims=True) + 1e-5)
    return (x_BTD - x_BTD.mean(axis=-1, keepdims=True)) / deviation_BT1 * scale_D + bias_D


@pytest.mark.parametrize("bias", [False, True])
def test_values(bias):
    params = {"scale": scale_D, **({"bias": bias_D} if bias else {})}
    found_BTD = LayerNorm(bias).apply({"params": params}, x_BTD)
    expected_BTD = layer_norm(x_BTD.astype(np.float64), scale_D, bias_D * bias)
    np.testing.assert_allclose(found_BTD, expected_BTD, rtol=1e-5, atol=1e-5)


def test_gradients_are_the_slopes_of_the_definition():
    def loss(params, x_BTD):
        return (LayerNorm(True).apply({"params": params}, x_BTD) * weights_BTD).sum()

    def slope(change):
        up, down = (
            (layer_norm(*(a + s * c for a, c in zip(at, change, strict=True))) * weights_BTD).sum()
            for s in (1e-5, -1e-5)
        )
        return (up - down) / 2e-5

    at = x_BTD.astype(np.float64), scale_D, bias_D
    gradients = jax.grad(loss, (0, 1))({"scale": scale_D, "bias": bias_D}, x_BTD)
    for seed in range(5):
        generator = np.random.default_rng(seed)
        change = tuple(generator.normal(size=np.shape(part)) for part in at)
        parts = gradients[1], gradients[0]["scale"], gradients[0]["bias"]
        found = sum(np.vdot(part, step) for part, step in zip(parts, change, strict=True))
        np.testing.assert_allclose(found, slope(change), rtol=1e-3, atol=1e-4)


def test_root_mean_square():
    """Zhang and Sennrich 2019, equation 4; the mean stays."""
    found_BTD = RMSNorm().apply({"params": {"scale": scale_D}}, x_BTD)
    root_BT1 = np.sqrt(np.mean(x_BTD.astype(np.float64) ** 2, axis=-1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(found_BTD, x_BTD / root_BT1 * scale_D, rtol=1e-5)


@pytest.mark.parametrize("norm", NORMS.values())
def test_epsilon_is_what_a_vector_without_variance_is_divided_by(norm):
    x_BTD = np.full((1, 1, 2), 1e-3, np.float32) * np.float32([1, -1])
    params = {"params": {"scale": np.ones(2, np.float32)}}
    for epsilon in (1e-12, 1e-6, 3e-6):
        found_BTD = norm(epsilon=epsilon).apply(params, x_BTD)
        np.testing.assert_allclose(np.abs(found_BTD), (1 + epsilon / 1e-6) ** -0.5, rtol=1e-5)


def test_a_new_norm_changes_no_scale_and_names_its_axis():
    boxed = LayerNorm(bias=True).init(jax.random.key(0), x_BTD)["params"]
    assert {box.names for box in boxed.values()} == {("embed",)}
    params = nn.meta.unbox(boxed)
    y_BTD = LayerNorm(bias=True).apply({"params": params}, x_BTD)
    np.testing.assert_allclose(np.mean(y_BTD, axis=-1), 0, atol=1e-6)
    np.testing.assert_allclose(np.std(y_BTD, axis=-1), 1, atol=1e-4)
