"""The stack RNN: a recurrent network that pushes on stacks and pops them, softly.

Joulin and Mikolov (2015), section 3.2, as Delétang et al. (2023) have it: what is pushed is linear
in the hidden state, and a stack may also stay as it is.
"""

import jax
import jax.numpy as jnp

from lmjax.mixers.memory_rnn import Affine, MemoryRNN

ACTIONS = 3  # push, pop, stay


def act(memory_BHNM: jax.Array, h_BD: jax.Array, affine: Affine) -> jax.Array:
    """`stack = a_push [pushed; stack] + a_pop stack[1:] + a_stay stack`, cut to N cells.

    The probabilities of the actions are `a = softmax(A h)`; below the last cell there are zeros.
    """
    rows, stacks, _, width = memory_BHNM.shape
    control_BHG = affine("control", h_BD).reshape(rows, stacks, ACTIONS + width)
    action_BHA = jax.nn.softmax(control_BHG[..., :ACTIONS], axis=-1)
    pushed_BH1M = control_BHG[:, :, None, ACTIONS:]
    after_push = jnp.concatenate([pushed_BH1M, memory_BHNM[:, :, :-1]], axis=2)
    after_pop = jnp.concatenate([memory_BHNM[:, :, 1:], jnp.zeros_like(pushed_BH1M)], axis=2)
    push, pop, stay = jnp.moveaxis(action_BHA, -1, 0)[..., None, None]
    return push * after_push + pop * after_pop + stay * memory_BHNM


class StackRNN(MemoryRNN):
    """`memories` stacks; what is pushed beyond `cells` is lost."""

    kind = "stack_rnn"
    act = staticmethod(act)

    def control_sizes(self):
        return {"control": (self.width, self.memories * (ACTIONS + self.cell_width))}
