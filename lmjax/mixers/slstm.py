"""sLSTM: an LSTM with exponential gates, a normaliser and mixing within heads (Beck et al. 2024).

H heads of K cells; G = 4 K are the sums of a head's gates. Each token waits for the one before it.
"""

from functools import partial
from typing import NamedTuple

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
from jax import lax
from jax.nn.initializers import Initializer

from lmjax.errors import UserError
from lmjax.mixers.contract import Mixer
from lmjax.mixers.forms import segment_begins
from lmjax.mixers.loop import fast
from lmjax.nn.block_dense import BlockDense
from lmjax.nn.head_norm import HeadNorm
from lmjax.nn.short_convolution import ShortConvolution, initial_past

FORGET_POWER = 0.95


class Cells(NamedTuple):
    """Output, cell, normaliser and stabiliser; the second and third are divided by `exp(m)`."""

    y_BHK: jax.Array
    c_BHK: jax.Array
    n_BHK: jax.Array
    m_BHK: jax.Array


@flax.struct.dataclass
class SLSTMCarry:
    """The cells, and the last W - 1 inputs of the convolution."""

    cells: Cells
    past_BWD: jax.Array


def step(cells, input_BHG, begins_B, *, recur):
    """`y_BHK, cells` after one token; a row whose token begins a segment starts from zeros.

    Equations 8 to 17: `c = f c + i tanh(z)`, `n = f n + i`, `y = o c / n`, with i and f divided by
    `exp(m)`, `m = max(log f + m, log i)`, on which y does not depend: m has no gradient. `recur`
    gives what the gates add up of the last output, `recurrent_BHG`. f is a sigmoid.
    """
    y_BHK, c_BHK, n_BHK, m_BHK = (jnp.where(begins_B[:, None, None], 0.0, leaf) for leaf in cells)
    log_i_BHK, f_BHK, z_BHK, o_BHK = jnp.split(input_BHG + recur(y_BHK), 4, axis=-1)
    log_f_BHK = jnp.where(n_BHK == 0, -jnp.inf, nn.log_sigmoid(f_BHK) + m_BHK)  # none is kept yet
    m_BHK = lax.stop_gradient(jnp.maximum(log_f_BHK, log_i_BHK))
    i_BHK, f_BHK = jnp.exp(log_i_BHK - m_BHK), jnp.exp(log_f_BHK - m_BHK)
    c_BHK = f_BHK * c_BHK + i_BHK * jnp.tanh(z_BHK)
    n_BHK = f_BHK * n_BHK + i_BHK
    y_BHK = nn.sigmoid(o_BHK) * c_BHK / n_BHK
    return y_BHK, Cells(y_BHK, c_BHK, n_BHK, m_BHK)


def parallel(cells, input_BTHG, begins_BT, *, kernel_HKG):
    """`y_BTHK, cells`: `step` for each of T tokens, with the faster gradient of `mixers.loop`."""
    heads = [f"head_{head}" for head in range(len(kernel_HKG))]

    def one(multiply, fixed, cells, now):
        def recur(y_BHK):
            sums = [multiply(name, y_BHK[:, head]) for head, name in enumerate(heads)]
            return jnp.stack(sums, axis=1)

        y_BHK, cells = step(cells, *now, recur=recur)
        return cells, y_BHK

    matrices = dict(zip(heads, kernel_HKG, strict=True))
    inputs = input_BTHG.swapaxes(0, 1), begins_BT.T
    cells, y_TBHK = fast(one, matrices, None, cells, inputs)
    return y_TBHK.swapaxes(0, 1), cells


class SLSTM(Mixer):
    """Gates of x, two of them of x convolved, the cells, and a norm of each head (Figure 10).

    The feed-forward network after it is that of the layer. States are float32 whatever the type of
    x. Raises UserError for sizes below 1, and a width that the heads don't divide.
    """

    heads: int
    initializer: Initializer
    convolution_width: int = 4
    norm_epsilon: float = 1e-5  # added to the variance

    def __post_init__(self):
        super().__post_init__()
        if self.convolution_width < 1:
            raise UserError(
                f"convolution_width of slstm is {self.convolution_width}; it is at least 1"
            )
        if self.heads < 1 or self.width % self.heads:
            raise UserError(
                f"model.width {self.width} is not a multiple of model.heads {self.heads}; change "
                "one of them"
            )

    def initial_carry(self, batch_size: int, max_length: int) -> SLSTMCarry:
        zeros_BHK = jnp.zeros((batch_size, self.heads, self.width // self.heads))
        past_BWD = initial_past(batch_size, self.convolution_width, self.width)
        return SLSTMCarry(Cells(*(zeros_BHK,) * 4), past_BWD)

    @nn.compact
    def __call__(
        self,
        x_BTD: jax.Array,
        carry: SLSTMCarry | None,
        positions_BT: jax.Array,
        segment_ids_BT: jax.Array | None,
        deterministic: bool,
    ) -> tuple[jax.Array, SLSTMCarry | None]:
        """`y_BTD, carry`; the cells are reset at position 0 if there are segments."""
        rows, length, _ = x_BTD.shape
        before = self.initial_carry(rows, length) if carry is None else carry
        convolve = ShortConvolution(self.convolution_width, name="convolution")
        convolved_BTD, past_BWD = convolve(x_BTD, before.past_BWD, positions_BT)
        convolved_BTD = nn.silu(convolved_BTD).astype(x_BTD.dtype)
        sources = dict(
            input_gate=convolved_BTD, forget_gate=convolved_BTD, cell=x_BTD, output_gate=x_BTD
        )
        sums = [
            BlockDense(self.heads, self.initializer, wide_output=True, name=name)(source_BTD)
            for name, source_BTD in sources.items()
        ]
        heads = [sums_BTD.reshape(rows, length, self.heads, -1) for sums_BTD in sums]
        cells = self.width // self.heads
        bias_HG = self.parameter("bias", draw_bias, ("heads", None), (self.heads, 4 * cells))
        input_BTHG = jnp.concatenate(heads, axis=-1) + bias_HG[None, None]
        axes, shape = ("heads", "hidden", None), (self.heads, cells, 4 * cells)
        kernel_HKG = self.parameter("recurrent_kernel", nn.initializers.zeros, axes, shape)
        one = partial(step, recur=lambda y_BHK: jnp.einsum("bhk,hkg->bhg", y_BHK, kernel_HKG))
        many = partial(parallel, kernel_HKG=kernel_HKG)
        begins_BT = segment_begins(positions_BT, segment_ids_BT, rows)
        y_BTHK, cells = self.run(one, many, before.cells, input_BTHG, begins_BT)
        y_BTD = HeadNorm(epsilon=self.norm_epsilon, name="norm")(y_BTHK).astype(x_BTD.dtype)
        return y_BTD, None if carry is None else SLSTMCarry(cells, past_BWD)


def draw_bias(key, shape, dtype=jnp.float32):
    """Zeros, but for the forget gates: from 5 to -7 over a head's cells, along a power of them.

    In the authors' code the power grows from 0.3 in the first layer to 1.6 in the last;
    here FORGET_POWER is that of the middle in all layers, so that scanned ones are the same model.
    """
    heads, sums = shape
    along_K = jnp.linspace(0.0, 1.0, sums // 4) ** FORGET_POWER
    bias_H4K = jnp.zeros((heads, 4, sums // 4), dtype).at[:, 1].set(5.0 - 12.0 * along_K)
    return bias_H4K.reshape(shape)
