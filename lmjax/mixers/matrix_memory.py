"""The matrix memory of mLSTM, with exponential gates and their stabiliser (Beck et al. 2024).

H heads, K the width of queries and keys, P that of values. `mlstm` and `mlstm_large` use it.
"""

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
from jax import lax

from lmjax.mixers.forms import in_first_segment, same_segment
from lmjax.nn.precision import wide

LARGEST = 40.0  # beyond it, exp(-m) is nothing beside any |n q|, and would be 0 in float32


@flax.struct.dataclass
class MatrixMemory:
    """The memory and its normaliser, both divided by `exp(m)`."""

    c_BHKP: jax.Array
    n_BHK: jax.Array
    m_BH: jax.Array


def empty_memory(batch_size: int, heads: int, key_width: int, value_width: int) -> MatrixMemory:
    """All zeros."""
    zeros_BHK = jnp.zeros((batch_size, heads, key_width))
    return MatrixMemory(
        jnp.zeros((batch_size, heads, key_width, value_width)), zeros_BHK, zeros_BHK[..., 0]
    )


def step(memory, q_BHK, k_BHK, v_BHP, log_input_BH, log_forget_BH, begins_B):
    """`y_BHP, memory` after one token; a row whose token begins a segment starts from zeros.

    Section 2.3: `C = f C + i k v^T`, `n = f n + i k`, `y = C^T q / max(|n q|, 1)`, all divided by
    exp(m), with `m = max(log f + m, log i)` (equation 15). Here m is not below 0 either: y does not
    depend on m, so nothing is lost but what is too small beside 1 to count. Nor has m a gradient.
    """

    def kept(leaf):
        return jnp.where(begins_B.reshape(-1, *(1,) * (leaf.ndim - 1)), 0.0, leaf)

    c_BHKP, n_BHK, m_BH = (kept(leaf) for leaf in (memory.c_BHKP, memory.n_BHK, memory.m_BH))
    largest_BH = jnp.maximum(jnp.maximum(log_forget_BH + m_BH, log_input_BH), 0.0)
    after_BH = lax.stop_gradient(largest_BH)
    forget_BH1 = jnp.exp(log_forget_BH + m_BH - after_BH)[..., None]
    write_BHK = jnp.exp(log_input_BH - after_BH)[..., None] * k_BHK
    c_BHKP = forget_BH1[..., None] * c_BHKP + write_BHK[..., None] * v_BHP[:, :, None]
    n_BHK = forget_BH1 * n_BHK + write_BHK
    total_BHP = jnp.einsum("bhkp,bhk->bhp", c_BHKP, q_BHK)
    weight_BH = jnp.einsum("bhk,bhk->bh", n_BHK, q_BHK)
    return _normalised(total_BHP, weight_BH, after_BH), MatrixMemory(c_BHKP, n_BHK, after_BH)


def parallel(memory, q_BTHK, k_BTHK, v_BTHP, log_input_BTH, log_forget_BTH, begins_BT):
    """`y_BTHP, memory`: `step` for each of T tokens, in T x T products (appendix A.3).

    Its m is that of `step`: the largest exponent of all that a token sees.
    """
    q_BHTK, k_BHTK, v_BHTP = (leaf.swapaxes(1, 2) for leaf in (q_BTHK, k_BTHK, v_BTHP))
    total_BHT = jnp.cumsum(log_forget_BTH, axis=1).swapaxes(1, 2)
    log_input_BHT = log_input_BTH.swapaxes(1, 2)
    exponent_BHTS = total_BHT[..., None] - total_BHT[..., None, :] + log_input_BHT[..., None, :]
    exponent_BHTS = jnp.where(same_segment(begins_BT)[:, None], exponent_BHTS, -jnp.inf)
    first_BHT = total_BHT + lax.stop_gradient(memory.m_BH)[..., None]
    first_BHT = jnp.where(in_first_segment(begins_BT)[:, None], first_BHT, -jnp.inf)
    largest_BHT = jnp.maximum(exponent_BHTS.max(axis=-1), jnp.maximum(first_BHT, 0.0))
    m_BHT = lax.stop_gradient(largest_BHT)
    before_BHT1 = jnp.exp(first_BHT - m_BHT)[..., None]
    written_BHTS = jnp.exp(exponent_BHTS - m_BHT[..., None])
    scores_BHTS = (q_BHTK @ k_BHTK.swapaxes(2, 3)) * written_BHTS
    total_BHTP = scores_BHTS @ v_BHTP + before_BHT1 * (q_BHTK @ memory.c_BHKP)
    weight_BHT = jnp.einsum("bhtk,bhk->bht", q_BHTK, memory.n_BHK) * before_BHT1[..., 0]
    y_BHTP = _normalised(total_BHTP, weight_BHT + scores_BHTS.sum(axis=-1), m_BHT)
    left_BHTK = written_BHTS[:, :, -1, :, None] * k_BHTK
    kept_BH1 = before_BHT1[:, :, -1]
    memory = MatrixMemory(
        c_BHKP=kept_BH1[..., None] * memory.c_BHKP + left_BHTK.swapaxes(2, 3) @ v_BHTP,
        n_BHK=kept_BH1 * memory.n_BHK + left_BHTK.sum(axis=2),
        m_BH=m_BHT[:, :, -1],
    )
    return y_BHTP.swapaxes(1, 2), memory


def _normalised(total, weight, m):
    floor = jnp.exp(-jnp.minimum(m, LARGEST))
    return total / jnp.maximum(jnp.abs(weight), floor)[..., None]


class ExponentialGates(nn.Module):
    """`log_input_BTH, log_forget_BTH`, linear in x: the input gate's, and a sigmoid's logarithm.

    Weights begin at zero; biases of the forget gates from 3 to 6 over the heads, those of the input
    gates normal around `input_bias`. `cap` bounds both gates smoothly before, unless it is 0.
    """

    heads: int
    input_bias: float
    input_deviation: float
    cap: float

    @nn.compact
    def __call__(self, x_BTE: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Both in float32."""
        zeros = nn.with_logical_partitioning(nn.initializers.zeros, ("embed", "hidden"))
        kernel_EG = self.param("kernel", zeros, (x_BTE.shape[-1], 2 * self.heads))
        bias = nn.with_logical_partitioning(self._bias, (None,))
        bias_G = self.param("bias", bias, (2 * self.heads,))
        gates_BTG = x_BTE.astype(wide(x_BTE.dtype)) @ kernel_EG + bias_G[None, None]
        if self.cap:
            gates_BTG = self.cap * jnp.tanh(gates_BTG / self.cap)
        log_input_BTH, forget_BTH = jnp.split(gates_BTG, 2, axis=-1)
        return log_input_BTH, nn.log_sigmoid(forget_BTH)

    def _bias(self, key, shape, dtype=jnp.float32):
        inputs_H = self.input_bias + self.input_deviation * jax.random.normal(key, (self.heads,))
        return jnp.concatenate([inputs_H, jnp.linspace(3.0, 6.0, self.heads)]).astype(dtype)
