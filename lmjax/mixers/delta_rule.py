"""The gated delta rule: a matrix memory that writes what it does not yet hold under a key.

H heads, K the width of a key, P that of a value. `step` is equation 10 of Yang, Kautz and
Hatamizadeh (2024); without decay it is DeltaNet's (Schlag et al. 2021; Yang et al. 2024, eq. 1).
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

from lmjax.mixers.decayed_attention import FORGOTTEN
from lmjax.mixers.forms import in_first_segment, same_segment


def step(state_BHKP, q_BHK, k_BHK, v_BHP, log_decay_BH, beta_BH, begins_B):
    """`y_BHP, state_BHKP` after one token; a row whose token begins a segment starts from zeros.

    `S = alpha (I - beta k k^T) S + beta k v^T`, `y = S^T q`: of what the decayed memory reads
    under the key, the share beta is replaced by the value.
    """
    state_BHKP = jnp.where(begins_B[:, None, None, None], 0.0, state_BHKP)
    state_BHKP = jnp.exp(log_decay_BH)[..., None, None] * state_BHKP
    read_BHP = jnp.einsum("bhkp,bhk->bhp", state_BHKP, k_BHK)
    written_BHP = beta_BH[..., None] * (v_BHP - read_BHP)
    state_BHKP += k_BHK[..., None] * written_BHP[..., None, :]
    return jnp.einsum("bhkp,bhk->bhp", state_BHKP, q_BHK), state_BHKP


def parallel(state_BHKP, q_BTHK, k_BTHK, v_BTHP, log_decay_BTH, beta_BTH, begins_BT):
    """`y_BTHP, state_BHKP`: `step` for each of T tokens, by one triangular system (section 3.3).

    What token t writes is what it would, did no other write, less what it reads of those between:
    a system whose matrix is lower triangular. Decays are taken
    of spans alone, so that none overflows. It holds B H T T numbers at a time.
    """
    q_BHTK, k_BHTK, v_BHTP = (leaf.swapaxes(1, 2) for leaf in (q_BTHK, k_BTHK, v_BTHP))
    beta_BHT1 = beta_BTH.swapaxes(1, 2)[..., None]
    total_BHT = jnp.cumsum(jnp.maximum(log_decay_BTH, FORGOTTEN), axis=1).swapaxes(1, 2)
    span_BHTS = decays_of_spans(total_BHT, begins_BT)
    first_BHT = jnp.where(in_first_segment(begins_BT)[:, None], jnp.exp(total_BHT), 0.0)
    k_BHKS = k_BHTK.swapaxes(2, 3)
    before_BHTP = first_BHT[..., None] * (k_BHTK @ state_BHKP)
    overlap_BHTS = beta_BHT1 * span_BHTS * (k_BHTK @ k_BHKS)
    written_BHTP = solve_unit_lower(overlap_BHTS, beta_BHT1 * (v_BHTP - before_BHTP))
    y_BHTP = first_BHT[..., None] * (q_BHTK @ state_BHKP)
    y_BHTP += (span_BHTS * (q_BHTK @ k_BHKS)) @ written_BHTP
    left_BHTK = span_BHTS[:, :, -1, :, None] * k_BHTK
    state_BHKP = first_BHT[:, :, -1, None, None] * state_BHKP
    state_BHKP += left_BHTK.swapaxes(2, 3) @ written_BHTP
    return y_BHTP.swapaxes(1, 2), state_BHKP


def decays_of_spans(total_BHT: jax.Array, begins_BT: jax.Array) -> jax.Array:
    """`decay_BHTS`, what token t sees of what s wrote: `exp(total_t - total_s)`, or 0 if nothing.

    `total_BHT` are sums of log-decays up to each token.
    """
    span_BHTS = total_BHT[..., :, None] - total_BHT[..., None, :]
    return jnp.exp(jnp.where(same_segment(begins_BT)[:, None], span_BHTS, -jnp.inf))


@jax.custom_vjp
def solve_unit_lower(lower_BHTS: jax.Array, right_BHTP: jax.Array) -> jax.Array:
    """`x_BHTP` with `(I + L) x = right`, of whose L only what stands below the diagonal counts.

    LAPACK's solution of it waits for ever where a step is spread over a CPU's devices.
    """
    return inverse_unit_lower(lower_BHTS) @ right_BHTP


def _solve_forward(lower_BHTS, right_BHTP):
    inverse_BHTS = inverse_unit_lower(lower_BHTS)
    x_BHTP = inverse_BHTS @ right_BHTP
    return x_BHTP, (inverse_BHTS, x_BHTP)


def _solve_backward(saved, gradient_BHTP):
    inverse_BHTS, x_BHTP = saved
    right_gradient_BHTP = inverse_BHTS.swapaxes(-1, -2) @ gradient_BHTP
    return -jnp.tril(right_gradient_BHTP @ x_BHTP.swapaxes(-1, -2), -1), right_gradient_BHTP


solve_unit_lower.defvjp(_solve_forward, _solve_backward)


def inverse_unit_lower(lower_BHTS: jax.Array) -> jax.Array:
    """The inverse of `I + L`, of whose L only what stands below the diagonal counts.

    By blocks on the diagonal, which grow twofold until one is all: below two inverses `A` and `C`
    stands `-C L A`. A series in L would be shorter, but its powers grow beyond float32 where keys
    repeat.
    """
    rows, heads, length = lower_BHTS.shape[:3]
    whole = 1 << (length - 1).bit_length()
    widths = (0, 0), (0, 0), (0, whole - length), (0, whole - length)
    lower_BHTS = jnp.pad(lower_BHTS, widths)
    inverse_BHNTS = jnp.ones((rows, heads, whole, 1, 1), lower_BHTS.dtype)  # of each block
    while (size := inverse_BHNTS.shape[-1]) < whole:
        count = whole // (2 * size)
        blocks = lower_BHTS.reshape(rows, heads, count, 2, size, count, 2, size)
        pairs = jnp.arange(count)
        below_BHNTS = jnp.moveaxis(blocks[:, :, pairs, 1, :, pairs, 0], 0, 2)
        upper_BHNTS, right_BHNTS = inverse_BHNTS[:, :, ::2], inverse_BHNTS[:, :, 1::2]
        left_BHNTS = -_exact(_exact(right_BHNTS, below_BHNTS), upper_BHNTS)
        zeros_BHNTS = jnp.zeros_like(upper_BHNTS)
        inverse_BHNTS = jnp.block([[upper_BHNTS, zeros_BHNTS], [left_BHNTS, right_BHNTS]])
    return inverse_BHNTS[:, :, 0, :length, :length]


# Errors of one doubling grow in the next, so that a GPU's short float32 products won't do.
_exact = partial(jnp.matmul, precision=lax.Precision.HIGHEST)


def unit_length(x_BTHK: jax.Array, epsilon: float = 1e-6) -> jax.Array:
    """`x / |x|` over K; `epsilon` is added to the square."""
    square_BTH1 = jnp.square(x_BTHK).sum(axis=-1, keepdims=True)
    return x_BTHK * lax.rsqrt(square_BTH1 + epsilon)
