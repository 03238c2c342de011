import jax
import numpy as np
import pytest

from lmjax.nn.softmax import target_log_probs

N, WIDTH, VOCABULARY = 7, 4, 11


def by_definition(hidden_ND, kernel_DV, bias_V, targets_N):
    logits_NV = hidden_ND @ kernel_DV
    if bias_V is not None:
        logits_NV += bias_V[None, :]
    return jax.nn.log_softmax(logits_NV)[np.arange(N), targets_N]


@pytest.mark.parametrize("biased", [False, True])
def test_values_and_gradients_are_those_of_log_softmax(biased):
    keys = jax.random.split(jax.random.key(0), 4)
    hidden_ND = jax.random.normal(keys[0], (N, WIDTH))
    kernel_DV = 3 * jax.random.normal(keys[1], (WIDTH, VOCABULARY))
    bias_V = jax.random.normal(keys[2], (VOCABULARY,)) if biased else None
    weights_N = jax.random.normal(keys[3], (N,)).at[2].set(0.0)
    targets_N = np.arange(N) * 3 % VOCABULARY

    def value_and_gradients(form):
        log_probs_N, pull = jax.vjp(
            lambda *arrays: form(*arrays, targets_N), hidden_ND, kernel_DV, bias_V
        )
        return log_probs_N, pull(weights_N)

    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5),
        value_and_gradients(target_log_probs),
        value_and_gradients(by_definition),
    )


def test_enormous_logits_stay_finite():
    kernel_DV = np.full((1, VOCABULARY), 1e4, np.float32)
    log_probs_N = target_log_probs(np.ones((1, 1), np.float32), kernel_DV, None, np.zeros(1, int))
    np.testing.assert_allclose(log_probs_N, -np.log(VOCABULARY), rtol=1e-3)
