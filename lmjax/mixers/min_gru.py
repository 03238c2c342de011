"""minGRU: a GRU whose gate and candidate do not see the state (Feng et al. 2024, section 3.1).

E is the inner width. As decays are at most 1 and nothing is divided by their products, no logarithm
of the state is needed; the paper's form, by cumulated sums of logarithms, cannot do without.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer

from lmjax.errors import UserError
from lmjax.mixers import linear_recurrence
from lmjax.mixers.contract import Mixer
from lmjax.mixers.forms import segment_begins
from lmjax.nn.dense import Dense


def positive(x):
    """`g(x)`: x + 0.5 where x >= 0, and sigmoid(x) below (appendix B)."""
    return jnp.where(x >= 0, x + 0.5, nn.sigmoid(x))


def decay_and_added(candidate, gate):
    """`1 - z` and `z g(candidate)`, with z the gate's sigmoid."""
    return nn.sigmoid(-gate), nn.sigmoid(gate) * positive(candidate)


def step(h_BE, candidate_BE, gate_BE, begins_B):
    """`h_BE, h_BE` after one token: `h = (1 - z) h + z g(candidate)` (section 3.1)."""
    return linear_recurrence.step(h_BE, *decay_and_added(candidate_BE, gate_BE), begins_B)


def parallel(h_BE, candidate_BTE, gate_BTE, begins_BT):
    """`h_BTE, h_BE`: `step` for each of T tokens."""
    decay_BTE, added_BTE = decay_and_added(candidate_BTE, gate_BTE)
    return linear_recurrence.parallel(h_BE, decay_BTE, added_BTE, begins_BT)


class MinGRU(Mixer):
    """`expansion` times as many cells as x is wide, and a projection back where they are more.

    The state begins at zero. Raises UserError for an expansion below 1.
    """

    bias: bool
    initializer: Initializer
    output_initializer: Initializer
    expansion: int = 2  # the inner width as a multiple of the model's

    sums = 2  # of the input, for each cell
    forms = step, parallel

    def __post_init__(self):
        super().__post_init__()
        if self.expansion < 1:
            raise UserError(f"the expansion of a minimal RNN is {self.expansion}; give at least 1")

    def initial_carry(self, batch_size: int, max_length: int) -> jax.Array:
        return jnp.zeros((batch_size, self.expansion * self.width))

    @nn.compact
    def __call__(
        self,
        x_BTD: jax.Array,
        carry: jax.Array | None,
        positions_BT: jax.Array,
        segment_ids_BT: jax.Array | None,
        deterministic: bool,
    ) -> tuple[jax.Array, jax.Array | None]:
        """`y_BTD, carry`; the state is reset at position 0 if there are segments."""
        rows, length, _ = x_BTD.shape
        h_BE = self.initial_carry(rows, length) if carry is None else carry
        inner = self.expansion * self.width
        project = Dense(
            self.sums * inner, ("embed", "mlp"), self.bias, self.initializer, True, name="input"
        )
        sums = jnp.split(project(x_BTD), self.sums, axis=-1)
        begins_BT = segment_begins(positions_BT, segment_ids_BT, rows)
        y_BTE, h_BE = self.run(*self.forms, h_BE, *sums, begins_BT)
        y_BTE = y_BTE.astype(x_BTD.dtype)
        if self.expansion > 1:
            axes = "mlp", "embed"
            output = Dense(self.width, axes, self.bias, self.output_initializer, name="output")
            y_BTE = output(y_BTE)
        return y_BTE, None if carry is None else h_BE
