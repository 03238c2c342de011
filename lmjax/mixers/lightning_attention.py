"""Lightning attention: linear attention with a fixed decay (Qin et al. 2024; MiniMax 2025, 2.2).

K is the width of each head's queries, keys and values.
"""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.nn.initializers import Initializer

from lmjax.errors import UserError
from lmjax.mixers.contract import Mixer
from lmjax.mixers.decayed_attention import parallel, step
from lmjax.mixers.forms import in_chunks, segment_begins
from lmjax.nn.dense import Dense
from lmjax.nn.norms import RMSNorm
from lmjax.nn.precision import wide


class LightningAttention(Mixer):
    """`S = exp(-rate) S + k v^T`, `y = S^T q` of SiLUs q, k and v; then a norm and a sigmoid gate.

    `step` and `parallel` are those of `lmjax.mixers.decayed_attention`. The rate of head h of H is
    `2^(-8 (h + 1) / H)` in the first layer, and falls to nothing in the last; where layers are
    scanned, none knows its number, and all have the first one's. The state is float32. Raises
    UserError for a chunk below 1 and a width that the heads don't divide.
    """

    heads: int
    initializer: Initializer
    output_initializer: Initializer
    layers: int = 1  # of the model
    layer: int = -1  # its number, from 0; -1: not known
    chunk: int = 64  # tokens that are read at a time

    def __post_init__(self):
        super().__post_init__()
        if self.chunk < 1:
            raise UserError(f"chunk of lightning_attention is {self.chunk}; it is at least 1")
        if self.heads < 1 or self.width % self.heads:
            raise UserError(
                f"model.width {self.width} is not a multiple of model.heads {self.heads}; change "
                "one of them"
            )

    def initial_carry(self, batch_size: int, max_length: int) -> jax.Array:
        keys = self.width // self.heads
        return jnp.zeros((batch_size, self.heads, keys, keys))

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

        def dense(features, name):
            return Dense(features, ("embed", "heads"), False, self.initializer, name=name)

        qkv_BTE = nn.silu(dense(3 * width, "qkv")(x_BTD).astype(wide(x_BTD.dtype)))
        qkv = jnp.split(qkv_BTE.reshape(rows, length, 3 * self.heads, -1), 3, axis=2)
        rate_H = rates(self.heads, self.layer, self.layers)
        log_decay_BTH1 = jnp.tile(-rate_H[:, None], (rows, length, 1, 1))
        begins_BT = segment_begins(positions_BT, segment_ids_BT, rows)
        many = partial(in_chunks, parallel, self.chunk)
        y_BTHK, after = self.run(step, many, before, *qkv, log_decay_BTH1, begins_BT)
        gate_BTD = nn.sigmoid(dense(width, "gate")(x_BTD))
        y_BTD = RMSNorm(epsilon=1e-6, name="norm")(y_BTHK.reshape(x_BTD.shape)) * gate_BTD
        output = Dense(width, ("heads", "embed"), False, self.output_initializer, name="output")
        return output(y_BTD.astype(x_BTD.dtype)), None if carry is None else after


def rates(heads: int, layer: int, layers: int) -> np.ndarray:
    """`rate_H` at which the heads of one of the layers forget, with MiniMax's 1e-5 in the last."""
    share = 1 - layer / (layers - 1 + 1e-5) + 1e-5 if layer >= 0 else 1.0
    return share * 2.0 ** (-8 * (np.arange(heads) + 1) / heads)
