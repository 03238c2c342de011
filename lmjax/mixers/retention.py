"""Retention: linear attention that turns and decays with distance (Sun et al. 2023, section 2).

K is the width of keys and queries, V that of values, N = K / 2 the pairs of numbers that turn.
"""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.nn.initializers import Initializer

from lmjax.errors import UserError
from lmjax.mixers import decayed_attention
from lmjax.mixers.contract import Mixer
from lmjax.mixers.forms import in_chunks, segment_begins
from lmjax.nn.dense import Dense
from lmjax.nn.gated_output import GatedOutput
from lmjax.nn.precision import wide
from lmjax.nn.rotary import angles, rotate


def step(s_BHKV, q_BHK, k_BHK, v_BHV, log_decay_BH1, angle_BN, begins_B):
    """`y_BHV, s_BHKV` after one token: `S = decay turn(S) + k v^T`, `y = S^T q` (equation 3).

    What earlier keys left is turned back by one angle, so that q and k need no position of their
    own (as in equation 6, where each is turned by its position): no stream is too long.
    """
    s_BHKV = _turn(s_BHKV, -angle_BN)
    return decayed_attention.step(s_BHKV, q_BHK, k_BHK, v_BHV, log_decay_BH1, begins_B)


def parallel(s_BHKV, q_BTHK, k_BTHK, v_BTHV, log_decay_BTH1, angle_BTN, begins_BT):
    """`y_BTHV, s_BHKV`: `step` for each of T tokens, turned from the state before (equation 5)."""
    angle_BTN = jnp.cumsum(angle_BTN, axis=1)
    q_BTHK, k_BTHK = rotate(q_BTHK, angle_BTN), rotate(k_BTHK, angle_BTN)
    inputs = q_BTHK, k_BTHK, v_BTHV, log_decay_BTH1, begins_BT
    y_BTHV, s_BHKV = decayed_attention.parallel(s_BHKV, *inputs)
    return y_BTHV, _turn(s_BHKV, -angle_BTN[:, -1])


def _turn(s_BHKV, angle_BN):
    s_BVHK = s_BHKV.transpose(0, 3, 1, 2)
    return rotate(s_BVHK, angle_BN[:, None]).transpose(0, 2, 3, 1)


class Retention(Mixer):
    """Multi-scale retention: each head forgets at a rate of its own (equation 8).

    The decay of head h is `1 - 2^(-5 - h)`. The state is float32. Raises UserError for sizes below
    1, a width that the heads don't divide, and keys of odd width.
    """

    heads: int
    initializer: Initializer
    output_initializer: Initializer
    expansion: int = 2  # the width of all values as a multiple of the model's
    chunk: int = 64  # tokens that are read at a time

    def __post_init__(self):
        super().__post_init__()
        if self.expansion < 1 or self.chunk < 1:
            raise UserError(
                f"expansion {self.expansion} and chunk {self.chunk} of retention are at least 1"
            )
        if self.heads < 1 or self.width % (2 * self.heads):
            raise UserError(
                f"retention turns pairs of numbers: a width of {self.width} is not a multiple of "
                f"twice {self.heads} heads; change one of them"
            )

    def initial_carry(self, batch_size: int, max_length: int) -> jax.Array:
        keys = self.width // self.heads
        return jnp.zeros((batch_size, self.heads, keys, self.expansion * keys))

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
        rows, length, width = x_BTD.shape
        before = self.initial_carry(rows, length) if carry is None else carry
        sizes = (2 + self.expansion) * width
        project = Dense(sizes, ("embed", "heads"), False, self.initializer, name="qkv")
        q_BTHK, k_BTHK, v_BTHV = (
            leaf.reshape(rows, length, self.heads, -1).astype(wide(x_BTD.dtype))
            for leaf in jnp.split(project(x_BTD), [width, 2 * width], axis=-1)
        )
        keys = width // self.heads
        log_decay_H = np.log1p(-(2.0 ** (-5 - np.arange(self.heads))))
        log_decay_BTH1 = jnp.tile(log_decay_H[:, None], (rows, length, 1, 1))
        angle_BTN = jnp.tile(angles(jnp.ones((1, 1)), keys), (rows, length, 1))
        inputs = q_BTHK, k_BTHK * keys**-0.5, v_BTHV, log_decay_BTH1, angle_BTN
        begins_BT = segment_begins(positions_BT, segment_ids_BT, rows)
        many = partial(in_chunks, parallel, self.chunk)
        y_BTHV, after = self.run(step, many, before, *inputs, begins_BT)
        output = GatedOutput(False, self.initializer, self.output_initializer, name="gated")
        return output(x_BTD, y_BTHV), None if carry is None else after
