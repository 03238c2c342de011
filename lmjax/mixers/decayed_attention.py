"""A memory of outer products that decays: `S = diag(decay) S + k v^T` and `y = S^T q` in each head.

K is the width of keys and queries, V that of values. Linear attention, retention, gated linear
attention and Mamba-2 differ in how they make q, k, v and the decay. `log_decay_BHK` is not above 0,
and leads to one decay for all of a head's K numbers if its last dimension is 1.
"""

import jax.numpy as jnp

from lmjax.mixers.forms import in_first_segment, in_last_segment, same_segment
from lmjax.nn.softmax import HIDDEN

# A log-decay that leaves nothing in float32: in sums over time, more would drown small ones.
FORGOTTEN = -20.0


def step(s_BHKV, q_BHK, k_BHK, v_BHV, log_decay_BHK, begins_B):
    """`y_BHV, s_BHKV` after one token; a row whose token begins a segment starts from zeros."""
    s_BHKV = jnp.where(begins_B[:, None, None, None], 0.0, s_BHKV)
    s_BHKV = jnp.exp(log_decay_BHK)[..., None] * s_BHKV + k_BHK[..., None] * v_BHV[:, :, None]
    return jnp.einsum("bhk,bhkv->bhv", q_BHK, s_BHKV), s_BHKV


def parallel(s_BHKV, q_BTHK, k_BTHK, v_BTHV, log_decay_BTHK, begins_BT):
    """`y_BTHV, s_BHKV`: `step` for each of T tokens, in T x T products.

    Token t reads of token s what the decays of s + 1 to t have left of it. These are exponentials
    of differences of sums over time, none of which is above 0. With a decay for each of K numbers
    it holds B H T T K numbers at a time, else B H T T.
    """
    q_BHTK, k_BHTK, v_BHTV, log_decay_BHTK = (
        leaf.swapaxes(1, 2) for leaf in (q_BTHK, k_BTHK, v_BTHV, log_decay_BTHK)
    )
    total_BHTK = jnp.cumsum(jnp.maximum(log_decay_BHTK, FORGOTTEN), axis=2)

    def kept(seen, exponent):
        return jnp.exp(jnp.where(seen, exponent, HIDDEN))

    apart_BHTSK = total_BHTK[:, :, :, None] - total_BHTK[:, :, None]
    kept_BHTSK = kept(same_segment(begins_BT)[:, None, :, :, None], apart_BHTSK)
    if kept_BHTSK.shape[-1] == 1:
        weights_BHTS = q_BHTK @ k_BHTK.swapaxes(2, 3) * kept_BHTSK[..., 0]
    else:
        weights_BHTS = jnp.einsum("bhtk,bhsk,bhtsk->bhts", q_BHTK, k_BHTK, kept_BHTSK)
    before_BHTK = kept(in_first_segment(begins_BT)[:, None, :, None], total_BHTK)
    y_BHTV = weights_BHTS @ v_BHTV + (q_BHTK * before_BHTK) @ s_BHKV

    last_BHTK = total_BHTK[:, :, -1:] - total_BHTK
    after_BHTK = kept(in_last_segment(begins_BT)[:, None, :, None], last_BHTK)
    s_BHKV = before_BHTK[:, :, -1, :, None] * s_BHKV
    s_BHKV += (k_BHTK * after_BHTK).swapaxes(2, 3) @ v_BHTV
    return y_BHTV.swapaxes(1, 2), s_BHKV
