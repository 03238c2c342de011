"""QRNN: gates and candidates by a convolution, and a pooling that recurs (Bradbury et al. 2016).

D is the number of cells.
"""

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer

from lmjax.errors import UserError, nearest
from lmjax.mixers import linear_recurrence
from lmjax.mixers.contract import Mixer
from lmjax.mixers.forms import segment_begins
from lmjax.nn.dense import Dense
from lmjax.nn.short_convolution import initial_past

POOLINGS = ("f", "fo", "ifo")


@flax.struct.dataclass
class QRNNCarry:
    """The cells, and the last `window - 1` tokens' x; None if that is none."""

    c_BD: jax.Array
    past_BWD: jax.Array | None


def step(c_BD, candidate_BD, forget_BD, add_BD, begins_B):
    """`c_BD, c_BD` after one token: `c = f c + i z` (equations 3 to 5)."""
    return linear_recurrence.step(c_BD, forget_BD, add_BD * candidate_BD, begins_B)


def parallel(c_BD, candidate_BTD, forget_BTD, add_BTD, begins_BT):
    """`c_BTD, c_BD`: `step` for each of T tokens."""
    return linear_recurrence.parallel(c_BD, forget_BTD, add_BTD * candidate_BTD, begins_BT)


class QRNN(Mixer):
    """`y = o c`, with `c = f c + i z`; all but c follow from the last `window` tokens' x.

    The poolings (section 2.1): `f` has no output gate o; in it and in `fo`, i is `1 - f`. Raises
    UserError for an unknown pooling, and a window below 1.
    """

    bias: bool
    initializer: Initializer
    pooling: str = "fo"  # f | fo | ifo
    window: int = 2  # tokens that gates and candidates see
    input_width: int = 0  # of x; 0: as y

    def __post_init__(self):
        super().__post_init__()
        if self.pooling not in POOLINGS:
            hint = nearest(self.pooling, POOLINGS)
            raise UserError(f"unknown pooling {self.pooling!r} of qrnn: {hint}")
        if self.window < 1:
            raise UserError(f"the window of qrnn is {self.window}; it is at least 1")

    def initial_carry(self, batch_size: int, max_length: int) -> QRNNCarry:
        c_BD = jnp.zeros((batch_size, self.width))
        if self.window == 1:
            return QRNNCarry(c_BD, None)
        width = self.input_width or self.width
        return QRNNCarry(c_BD, initial_past(batch_size, self.window, width))

    @nn.compact
    def __call__(
        self,
        x_BTD: jax.Array,
        carry: QRNNCarry | None,
        positions_BT: jax.Array,
        segment_ids_BT: jax.Array | None,
        deterministic: bool,
    ) -> tuple[jax.Array, QRNNCarry | None]:
        """`y_BTD, carry`; what was read is forgotten at position 0 if there are segments."""
        rows, length, _ = x_BTD.shape
        before = self.initial_carry(rows, length) if carry is None else carry
        joined_BTD, past_BWD = x_BTD, before.past_BWD
        if past_BWD is not None:
            joined_BTD = jnp.concatenate([past_BWD.astype(x_BTD.dtype), x_BTD], axis=1)
        seen = []
        for back in reversed(range(self.window)):  # the present last
            begin = self.window - 1 - back
            within_BT1 = (positions_BT >= back)[..., None]
            seen.append(jnp.where(within_BT1, joined_BTD[:, begin : begin + length], 0.0))
        sums = 1 + len(self.pooling)
        axes = "embed", "gates"
        convolve = Dense(sums * self.width, axes, self.bias, self.initializer, True, name="input")
        candidate_BTD, *gates = jnp.split(convolve(jnp.concatenate(seen, -1)), sums, axis=-1)
        gates = dict(zip(self.pooling, map(nn.sigmoid, gates), strict=True))
        inputs = nn.tanh(candidate_BTD), gates["f"], gates.get("i", 1 - gates["f"])
        begins_BT = segment_begins(positions_BT, segment_ids_BT, rows)
        y_BTD, c_BD = self.run(step, parallel, before.c_BD, *inputs, begins_BT)
        y_BTD = (gates.get("o", 1.0) * y_BTD).astype(x_BTD.dtype)
        if past_BWD is not None:
            past_BWD = joined_BTD[:, length:].astype(past_BWD.dtype)
        return y_BTD, None if carry is None else QRNNCarry(c_BD, past_BWD)
