"""An LSTM whose input and last output gate each other first (Melis, Kočiský and Blunsom 2020)."""

from functools import partial

import flax.linen as nn
import jax

from lmjax.errors import UserError
from lmjax.mixers.lstm import lstm_step
from lmjax.mixers.recurrence import State
from lmjax.mixers.recurrent_mixer import RecurrentMixer


def step(rounds, is_low_rank, multiply, bias_BG, state, x_BE):
    """Round i gates x if it is odd, else h (equations 1 and 2), then comes an LSTM's step:

    `x = 2 sigmoid(Q_i h) * x`; `h = 2 sigmoid(R_i x) * h`.
    """
    h_BD, c_BD = state
    for index in range(1, rounds + 1):
        source_BE = h_BD if index % 2 else x_BE
        if is_low_rank:
            source_BE = multiply(f"down_{index}", source_BE)
        gate_BE = 2.0 * jax.nn.sigmoid(multiply(f"gate_{index}", source_BE))
        if index % 2:
            x_BE = gate_BE * x_BE
        else:
            h_BD = gate_BE * h_BD
    input_BG = multiply("input", x_BE) + bias_BG
    state = lstm_step((h_BD, c_BD), input_BG, multiply("recurrent", h_BD))
    return state, state[0]


class MogrifierLSTM(RecurrentMixer):
    """An LSTM after `rounds` of gating, whose matrices are of `rank`. The carry is `h, c`.

    Raises UserError for fewer than no rounds or ranks.
    """

    rounds: int = 5
    rank: int = 0  # of the matrices that gate; 0: full

    def __post_init__(self):
        super().__post_init__()
        if min(self.rounds, self.rank) < 0:
            raise UserError(
                f"rounds and rank of mogrifier_lstm are {self.rounds} and {self.rank}; they are at "
                "least 0"
            )

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
        inputs, gates = x_BTD.shape[-1], 4 * self.width
        matrices = {
            "input": self.drawn("input_kernel", ("embed", "gates"), (inputs, gates)),
            "recurrent": self.drawn("recurrent_kernel", ("hidden", "gates"), (self.width, gates)),
        }
        for index in range(1, self.rounds + 1):
            source, target = (self.width, inputs) if index % 2 else (inputs, self.width)
            name = f"gate_{index}"
            if self.rank:
                down = self.drawn(f"down_{index}_kernel", ("embed", "hidden"), (source, self.rank))
                matrices[f"down_{index}"] = down
                source = self.rank
            matrices[name] = self.drawn(f"{name}_kernel", ("hidden", "embed"), (source, target))
        y_BTD, carry = self.loop(
            partial(step, self.rounds, bool(self.rank)),
            matrices,
            self.gate_bias(4, 1, self.width)[None],
            carry,
            x_BTD.astype(matrices["input"].dtype),
            positions_BT,
            segment_ids_BT,
        )
        return y_BTD.astype(x_BTD.dtype), carry
