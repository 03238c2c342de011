"""The tape RNN: a recurrent network that writes on tapes and moves along them, softly.

Delétang et al. (2023), appendix A ("Baby-NTM", after Suzgun et al. 2019), with three of its five
actions: the other two move by the length of the input, which a model that reads token by token does
not know.
"""

import jax
import jax.numpy as jnp

from lmjax.errors import UserError
from lmjax.mixers.memory_rnn import Affine, MemoryRNN

ACTIONS = 3  # stay, left, right


def act(memory_BHNM: jax.Array, h_BD: jax.Array, affine: Affine) -> jax.Array:
    """The tape with its first cell overwritten, then rolled by 0, -1 or 1 cells.

    The probabilities of these are `softmax(A h)`; a perceptron of h with two hidden layers gives
    what is written. The tape is a ring.
    """
    rows, tapes, _, width = memory_BHNM.shape
    action_BHA = jax.nn.softmax(affine("action", h_BD).reshape(rows, tapes, ACTIONS), axis=-1)
    hidden_BF = jax.nn.relu(affine("write_0", h_BD))
    hidden_BF = jax.nn.relu(affine("write_1", hidden_BF))
    written_BH1M = affine("write_2", hidden_BF).reshape(rows, tapes, 1, width)
    written_BHNM = jnp.concatenate([written_BH1M, memory_BHNM[:, :, 1:]], axis=2)
    stay, left, right = jnp.moveaxis(action_BHA, -1, 0)[..., None, None]
    to_left, to_right = (jnp.roll(written_BHNM, shift, axis=2) for shift in (-1, 1))
    return stay * written_BHNM + left * to_left + right * to_right


class TapeRNN(MemoryRNN):
    """`memories` tapes that are rings of `cells`.

    Raises UserError also for a write_width below 1.
    """

    write_width: int = 64  # of the hidden layers of what is written

    kind = "tape_rnn"
    act = staticmethod(act)

    def __post_init__(self):
        super().__post_init__()
        if self.write_width < 1:
            raise UserError(f"write_width of tape_rnn is {self.write_width}; it is at least 1")

    def control_sizes(self):
        inner = self.write_width
        return {
            "action": (self.width, self.memories * ACTIONS),
            "write_0": (self.width, inner),
            "write_1": (inner, inner),
            "write_2": (inner, self.memories * self.cell_width),
        }
