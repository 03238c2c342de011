"""An LSTM whose sums and cells are normalised (Ba et al. 2016, equations 20 to 22)."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from lmjax.mixers.recurrence import State
from lmjax.mixers.recurrent_mixer import RecurrentMixer, wide_sums
from lmjax.nn.norms import normalise


def step(multiply, norms, state, input_BG):
    """`sums = LN(U h) + LN(W x) + b`; `c = f * c + i * g`; `h = o * tanh(LN(c))`.

    `input_BG` is the second and third term of the sums.
    """
    (h_BD, c_BD), (scale_BG, shift_BG, cell_scale_BD, cell_shift_BD) = state, norms
    recurrent_BG = normalise(multiply("recurrent", h_BD)) * scale_BG + shift_BG
    i_BD, f_BD, g_BD, o_BD = jnp.split(input_BG + recurrent_BG, 4, axis=-1)
    c_BD = jax.nn.sigmoid(f_BD) * c_BD + jax.nn.sigmoid(i_BD) * jnp.tanh(g_BD)
    cell_BD = normalise(c_BD) * cell_scale_BD + cell_shift_BD
    h_BD = jax.nn.sigmoid(o_BD) * jnp.tanh(cell_BD)
    return (h_BD, c_BD), h_BD


class LayerNormLSTM(RecurrentMixer):
    """An LSTM with a norm over all sums of the input, one over those of h, one over its cells.

    Each has a scale, which begins as ones, and a shift, as zeros. The carry is `h, c`.
    """

    @nn.compact
    def __call__(
        self,
        x_BTD: jax.Array,
        carry: State | None,
        positions_BT: jax.Array,
        segment_ids_BT: jax.Array | None,
        deterministic: bool,
    ) -> tuple[jax.Array, State | None]:
        """`y_BTD, carry`; the state is reset at position 0 if there are segments."""
        gates = 4 * self.width
        kernel_EG = self.drawn("input_kernel", ("embed", "gates"), (x_BTD.shape[-1], gates))
        kernel_DG = self.drawn("recurrent_kernel", ("hidden", "gates"), (self.width, gates))
        scale_G, shift_G = self._norm("input", "gates", gates)
        input_BTG = normalise(wide_sums(x_BTD, kernel_EG)) * scale_G[None, None]
        input_BTG += (shift_G + self.gate_bias(4, 1, self.width))[None, None]
        norms = *self._norm("recurrent", "gates", gates), *self._norm("cell", "hidden", self.width)
        y_BTD, carry = self.loop(
            step,
            {"recurrent": kernel_DG},
            tuple(leaf[None] for leaf in norms),
            carry,
            input_BTG,
            positions_BT,
            segment_ids_BT,
        )
        return y_BTD.astype(x_BTD.dtype), carry

    def _norm(self, name: str, axis: str, width: int) -> tuple[jax.Array, jax.Array]:
        ones = nn.with_logical_partitioning(nn.initializers.ones, (axis,))
        zeros = nn.with_logical_partitioning(nn.initializers.zeros, (axis,))
        return (
            self.param(f"{name}_norm_scale", ones, (width,)),
            self.param(f"{name}_norm_shift", zeros, (width,)),
        )
