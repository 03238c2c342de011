"""The log-probability of each target under a softmax over a large vocabulary."""

import jax
import jax.numpy as jnp

from lmjax.nn.precision import sum_of_rows

HIDDEN = -1e30  # a score that softmax turns into zero, and whose gradient stays finite


def log_probs_and_right(
    logits_BTV: jax.Array, targets_BT: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """`log_probs_BT` of the targets in float32, and whether each is the most probable token."""
    logits_BTV = logits_BTV.astype(jnp.float32)
    target_logits_BT = jnp.take_along_axis(logits_BTV, targets_BT[..., None], axis=-1)[..., 0]
    log_probs_BT = target_logits_BT - jax.nn.logsumexp(logits_BTV, axis=-1)
    return log_probs_BT, jnp.argmax(logits_BTV, axis=-1) == targets_BT


@jax.custom_vjp
def target_log_probs(
    hidden_ND: jax.Array, kernel_DV: jax.Array, bias_V: jax.Array | None, targets_N: jax.Array
) -> jax.Array:
    """`log_probs_N` in nats, in float32; a bias of None is none.

    The gradient by the logits, the weights times (target - probability), is formed in one pass.
    """
    return _forward(hidden_ND, kernel_DV, bias_V, targets_N)[0]


def _forward(hidden_ND, kernel_DV, bias_V, targets_N):
    logits_NV = hidden_ND @ kernel_DV
    if bias_V is not None:
        logits_NV += bias_V[None, :]
    logits_NV = logits_NV.astype(jnp.float32)
    normalizer_N = jax.nn.logsumexp(logits_NV, axis=-1)
    target_logits_N = jnp.take_along_axis(logits_NV, targets_N[:, None], axis=-1)[:, 0]
    residuals = hidden_ND, kernel_DV, bias_V, targets_N, logits_NV, normalizer_N
    return target_logits_N - normalizer_N, residuals


def _backward(residuals, gradient_N):
    hidden_ND, kernel_DV, bias_V, targets_N, logits_NV, normalizer_N = residuals
    is_target_NV = targets_N[:, None] == jnp.arange(logits_NV.shape[1])[None, :]
    probabilities_NV = jnp.exp(logits_NV - normalizer_N[:, None])
    gradient_NV = gradient_N[:, None] * (is_target_NV - probabilities_NV)
    gradient_NV = gradient_NV.astype(hidden_ND.dtype)
    bias_gradient_V = None if bias_V is None else sum_of_rows(gradient_NV)
    return gradient_NV @ kernel_DV.T, hidden_ND.T @ gradient_NV, bias_gradient_V, None


target_log_probs.defvjp(_forward, _backward)
