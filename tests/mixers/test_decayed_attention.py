"""Matrix states with decay against a loop over tokens and heads, for decays of every size."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.mixers.decayed_attention import parallel, step

ROWS, LENGTH, HEADS, KEYS, VALUES = 2, 11, 3, 4, 5
generator = np.random.default_rng(0)
begins_BT = np.zeros((ROWS, LENGTH), bool)
begins_BT[0, [3, 7]] = True


def draw(decays):
    """`s_BHKV, q_BTHK, k_BTHK, v_BTHV, log_decay_BTHK`: very strong decays beside none."""
    of_keys = ROWS, LENGTH, HEADS, KEYS
    shapes = (ROWS, HEADS, KEYS, VALUES), of_keys, of_keys, (ROWS, LENGTH, HEADS, VALUES)
    arrays = [generator.normal(size=shape) for shape in shapes]
    log_decay_BTHK = -np.exp(generator.uniform(-8, 8, size=(ROWS, LENGTH, HEADS, decays)))
    return *arrays, np.where(generator.uniform(size=log_decay_BTHK.shape) < 0.2, 0, log_decay_BTHK)


def by_hand(s_BHKV, q_BTHK, k_BTHK, v_BTHV, log_decay_BTHK):
    s_BHKV, y_BTHV = s_BHKV.copy(), np.zeros_like(v_BTHV)
    for row, head in np.ndindex(ROWS, HEADS):
        s_KV = s_BHKV[row, head]
        for t in range(LENGTH):
            at = row, t, head
            s_KV = np.zeros_like(s_KV) if begins_BT[row, t] else s_KV
            s_KV = np.diag(np.exp(log_decay_BTHK[at]) * np.ones(KEYS)) @ s_KV
            s_KV = s_KV + np.outer(k_BTHK[at], v_BTHV[at])
            y_BTHV[at] = s_KV.T @ q_BTHK[at]
        s_BHKV[row, head] = s_KV
    return y_BTHV, s_BHKV


@pytest.mark.parametrize("decays", [1, KEYS])
def test_forms_follow_the_loop(decays):
    inputs = draw(decays)
    expected_BTHV, expected_BHKV = by_hand(*inputs)
    s_BHKV, *inputs = (jnp.asarray(leaf, jnp.float32) for leaf in inputs)
    y_BTHV, after_BHKV = jax.jit(parallel)(s_BHKV, *inputs, begins_BT)
    np.testing.assert_allclose(y_BTHV, expected_BTHV, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(after_BHKV, expected_BHKV, rtol=1e-4, atol=1e-5)
    for t in range(LENGTH):
        y_BHV, s_BHKV = step(s_BHKV, *(leaf[:, t] for leaf in inputs), begins_BT[:, t])
        np.testing.assert_allclose(y_BHV, expected_BTHV[:, t], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(s_BHKV, expected_BHKV, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("decays", [1, KEYS])
def test_gradients_are_finite_under_the_strongest_decays(decays):
    inputs = [jnp.asarray(leaf, jnp.float32) for leaf in draw(decays)]
    inputs[-1] = jnp.full_like(inputs[-1], -1e4)

    def total(*inputs):
        y_BTHV, s_BHKV = parallel(*inputs, begins_BT)
        return y_BTHV.sum() + s_BHKV.sum()

    gradients = jax.grad(total, argnums=tuple(range(5)))(*inputs)
    assert all(jnp.isfinite(leaf).all() for leaf in gradients)
