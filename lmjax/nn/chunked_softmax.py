"""Log-probabilities under a softmax without ever holding the logits of all tokens."""

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

from lmjax.nn.precision import sum_of_rows, wide
from lmjax.nn.token_chunks import join, split


@partial(jax.custom_vjp, nondiff_argnums=(4, 5))
def chunked_log_probs(
    hidden_BTD: jax.Array,
    kernel_DV: jax.Array,
    bias_V: jax.Array | None,
    targets_BT: jax.Array,
    cap: float,
    size: int,
) -> jax.Array:
    """`log_probs_BT` in nats, in float32; logits are formed of about `size` tokens at a time.

    The backward pass forms them anew, and sums the gradients of kernel and bias over the chunks.
    Products are in the type of the hidden vectors, sums in float32. A bias of None is none; a `cap`
    c makes of the logits c tanh(logits / c), 0 leaves them.
    """
    return _forward(hidden_BTD, kernel_DV, bias_V, targets_BT, cap, size)[0]


def _logits(hidden_ND, kernel_DV, bias_V, cap):
    logits_NV = jnp.matmul(
        hidden_ND,
        kernel_DV.astype(hidden_ND.dtype),
        preferred_element_type=wide(hidden_ND.dtype),
    )
    if bias_V is not None:
        logits_NV += bias_V[None, :]
    return cap * jnp.tanh(logits_NV / cap) if cap else logits_NV


def _flat(chunk):
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), chunk)


def _forward(hidden_BTD, kernel_DV, bias_V, targets_BT, cap, size):
    def one(nothing, chunk):
        hidden_ND, targets_N = _flat(chunk)
        logits_NV = _logits(hidden_ND, kernel_DV, bias_V, cap)
        normalizer_N = jax.nn.logsumexp(logits_NV, axis=-1)
        target_logits_N = jnp.take_along_axis(logits_NV, targets_N[:, None], axis=-1)[:, 0]
        found = target_logits_N - normalizer_N, normalizer_N
        return nothing, jax.tree.map(lambda leaf: leaf.reshape(chunk[1].shape), found)

    _, chunks = lax.scan(one, None, split(size, hidden_BTD, targets_BT))
    log_probs_BT, normalizer_BT = (join(leaf, targets_BT.shape[1]) for leaf in chunks)
    return log_probs_BT, (hidden_BTD, kernel_DV, bias_V, targets_BT, normalizer_BT)


def _backward(cap, size, residuals, gradient_BT):
    hidden_BTD, kernel_DV, bias_V, targets_BT, normalizer_BT = residuals

    def one(sums, chunk):
        hidden_ND, targets_N, normalizer_N, gradient_N = _flat(chunk)
        logits_NV = _logits(hidden_ND, kernel_DV, bias_V, cap)
        is_target_NV = targets_N[:, None] == jnp.arange(logits_NV.shape[1])[None, :]
        probabilities_NV = jnp.exp(logits_NV - normalizer_N[:, None])
        gradient_NV = gradient_N[:, None] * (is_target_NV - probabilities_NV)
        if cap:
            gradient_NV *= 1 - jnp.square(logits_NV / cap)
        narrow_NV = gradient_NV.astype(hidden_ND.dtype)
        multiply = partial(jnp.matmul, preferred_element_type=wide(hidden_ND.dtype))
        more = (
            multiply(hidden_ND.T, narrow_NV),
            None if bias_V is None else sum_of_rows(gradient_NV),
        )
        hidden_gradient_ND = multiply(narrow_NV, kernel_DV.T.astype(hidden_ND.dtype))
        hidden_gradient_ND = hidden_gradient_ND.astype(hidden_ND.dtype)
        return jax.tree.map(jnp.add, sums, more), hidden_gradient_ND.reshape(chunk[0].shape)

    zeros = jax.tree.map(
        lambda leaf: jnp.zeros(leaf.shape, wide(hidden_BTD.dtype)), (kernel_DV, bias_V)
    )
    chunks = split(size, hidden_BTD, targets_BT, normalizer_BT, gradient_BT)
    (kernel_gradient_DV, bias_gradient_V), hidden_chunks = lax.scan(one, zeros, chunks)
    kernel_gradient_DV = kernel_gradient_DV.astype(kernel_DV.dtype)
    hidden_gradient_BTD = join(hidden_chunks, targets_BT.shape[1])
    return hidden_gradient_BTD, kernel_gradient_DV, bias_gradient_V, None


chunked_log_probs.defvjp(_forward, _backward)
