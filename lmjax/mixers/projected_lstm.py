"""An LSTM whose output is a projection of its cells' (Sak, Senior and Beaufays 2014, section 2.2).

E counts its cells; D is the width of what it remembers as its output.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from lmjax.errors import UserError
from lmjax.mixers.recurrence import State
from lmjax.mixers.recurrent_mixer import RecurrentMixer, wide_sums


def step(multiply, fixed, state, input_BG):
    """`c = f * c + i * g`; `h = W (o * tanh(c))`, of which the gates see the last one."""
    h_BD, c_BE = state
    i_BE, f_BE, g_BE, o_BE = jnp.split(input_BG + multiply("recurrent", h_BD), 4, axis=-1)
    c_BE = jax.nn.sigmoid(f_BE) * c_BE + jax.nn.sigmoid(i_BE) * jnp.tanh(g_BE)
    h_BD = multiply("output", jax.nn.sigmoid(o_BE) * jnp.tanh(c_BE))
    return (h_BD, c_BE), h_BD


class ProjectedLSTM(RecurrentMixer):
    """`cells` LSTM cells and `width` outputs. The carry is `h, c`.

    Raises UserError for fewer than no cells.
    """

    cells: int = 0  # E; 0: twice the width

    def __post_init__(self):
        super().__post_init__()
        if self.cells < 0:
            raise UserError(f"cells of projected_lstm is {self.cells}; give 0 for twice the width")

    def initial_carry(self, batch_size: int, max_length: int) -> State:
        cells = self.cells or 2 * self.width
        return jnp.zeros((batch_size, self.width)), jnp.zeros((batch_size, cells))

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
        cells = self.cells or 2 * self.width
        gates = 4 * cells
        kernel_EG = self.drawn("input_kernel", ("embed", "gates"), (x_BTD.shape[-1], gates))
        matrices = {
            "recurrent": self.drawn("recurrent_kernel", ("embed", "gates"), (self.width, gates)),
            "output": self.drawn("output_kernel", ("hidden", "embed"), (cells, self.width)),
        }
        input_BTG = wide_sums(x_BTD, kernel_EG) + self.gate_bias(4, 1, cells)[None, None]
        y_BTD, carry = self.loop(
            step, matrices, None, carry, input_BTG, positions_BT, segment_ids_BT
        )
        return y_BTD.astype(x_BTD.dtype), carry
