"""Softmax attention over slots of keys and values (Vaswani et al. 2017, section 3.2.1).

`step` is the definition, for one token; `parallel` is the same for many tokens at once. Each of G
heads of keys and values is read by H / G heads of queries (Ainslie et al. 2023), which stand
together.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from lmjax.nn.precision import wide, wide_product
from lmjax.nn.softmax import HIDDEN


def step(
    q_BHK: jax.Array,
    k_BSGK: jax.Array,
    v_BSGK: jax.Array,
    visible_BS: jax.Array,
    bias_BHS: jax.Array | None = None,
    sink_H: jax.Array | None = None,
    scaled: bool = True,
    cap: float = 0.0,
) -> jax.Array:
    """`y_BHK = softmax(q k / sqrt(K) + bias) v` over the visible slots (equation 1).

    A `cap` bounds scores by `cap tanh(scores / cap)` before the bias (Gemma Team 2024, section 2).
    `sink_H` is the score of one more slot, whose value is zero (Xiao et al. 2024, section 3.3).
    """
    q_BHK, k_BSGK, v_BSGK = (leaf.astype(wide(leaf.dtype)) for leaf in (q_BHK, k_BSGK, v_BSGK))
    (rows, heads, _), groups = q_BHK.shape, k_BSGK.shape[2]
    q_BGRK = q_BHK.reshape(rows, groups, heads // groups, -1)
    scores_BHS = jnp.einsum("bgrk,bsgk->bgrs", q_BGRK, k_BSGK).reshape(rows, heads, -1)
    if scaled:
        scores_BHS /= jnp.sqrt(q_BHK.shape[-1])
    if cap:
        scores_BHS = cap * jnp.tanh(scores_BHS / cap)
    if bias_BHS is not None:
        scores_BHS += bias_BHS
    scores_BHS = jnp.where(visible_BS[:, None, :], scores_BHS, HIDDEN)
    if sink_H is not None:
        sink_BH1 = jnp.broadcast_to(sink_H[None, :, None], (rows, heads, 1))
        scores_BHS = jnp.concatenate([scores_BHS, sink_BH1], axis=-1)
    weights_BHS = jax.nn.softmax(scores_BHS)[..., : v_BSGK.shape[1]]
    weights_BGRS = weights_BHS.reshape(*q_BGRK.shape[:3], -1)
    return jnp.einsum("bgrs,bsgk->bgrk", weights_BGRS, v_BSGK).reshape(rows, heads, -1)


def parallel(
    q_BTHK: jax.Array,
    k_BSGK: jax.Array,
    v_BSGK: jax.Array,
    visible_BTS: jax.Array,
    drop: Callable[[jax.Array], jax.Array] = lambda weights_BHTS: weights_BHTS,
    bias_BHTS: jax.Array | None = None,
    sink_H: jax.Array | None = None,
    scaled: bool = True,
    cap: float = 0.0,
) -> jax.Array:
    """`y_BTHK`: `step` for each of T tokens, with `drop` applied to the attention weights.

    `bias_BHTS` and `visible_BTS` may lead with 1 in place of B. A token that sees no slot gets a
    meaningless y.
    """
    # Batched products over (B, G) with keys transposed first: faster on CPU than einsum's order,
    # and without a copy of keys for each head that reads them.
    rows, length, heads, _ = q_BTHK.shape
    groups = k_BSGK.shape[2]
    q_BHTK = q_BTHK.transpose(0, 2, 1, 3)
    if scaled:
        q_BHTK *= q_BTHK.shape[-1] ** -0.5
    in_groups = rows, groups, heads // groups * length, -1
    scores_BGNS = wide_product(q_BHTK.reshape(in_groups), k_BSGK.transpose(0, 2, 3, 1))
    scores_BHTS = scores_BGNS.reshape(rows, heads, length, -1)
    if cap:
        scores_BHTS = cap * jnp.tanh(scores_BHTS / cap)
    if bias_BHTS is not None:
        scores_BHTS += bias_BHTS
    scores_BHTS = jnp.where(visible_BTS[:, None], scores_BHTS, HIDDEN)
    weights_BHTS = drop(jax.nn.softmax(scores_BHTS)).astype(v_BSGK.dtype)
    y_BGNK = weights_BHTS.reshape(in_groups) @ v_BSGK.transpose(0, 2, 1, 3)
    y_BHTK = y_BGNK.reshape(rows, heads, length, -1)
    if sink_H is not None:  # one more term of the softmax's denominator
        kept_BHT = jax.nn.sigmoid(jax.nn.logsumexp(scores_BHTS, axis=-1) - sink_H[None, :, None])
        y_BHTK *= kept_BHT[..., None].astype(y_BHTK.dtype)
    return y_BHTK.transpose(0, 2, 1, 3)
