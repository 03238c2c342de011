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
    `rate 2^(-8 (h + 1) / H)`. The state is float32. Raises UserError for a chunk below 1, a
    negative rate, and a width that the heads don't divide.
    """

    heads: int
    initializer: Initializer
    output_initializer: Initializer
    rate: float = 1.0  # multiplies all heads' rates; MiniMax lowers it from layer to layer, 1 to 0
    chunk: int = 64  # tokens that are read at a time

    def __post_init__(self):
        super().__post_init__()
        if self.chunk < 1 or self.rate < 0:
            raise UserError(
                f"chunk {self.chunk} of lightning_attention is at least 1, and rate {self.rate} at "
                "least 0"
            )
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
        rate_H = self.rate * 2.0 ** (-8 * (np.arange(self.heads) + 1) / self.heads)
        log_decay_BTH1 = jnp.tile(-rate_H[:, None], (rows, length, 1, 1))
        begins_BT = segment_begins(positions_BT, segment_ids_BT, rows)
        many = partial(in_chunks, parallel, self.chunk)
        y_BTHK, after = self.run(step, many, before, *qkv, log_decay_BTH1, begins_BT)
        gate_BTD = nn.sigmoid(dense(width, "gate")(x_BTD))
        y_BTD = RMSNorm(epsilon=1e-6, name="norm")(y_BTHK.reshape(x_BTD.shape)) * gate_BTD
        output = Dense(width, ("heads", "embed"), False, self.output_initializer, name="output")
        return output(y_BTD.astype(x_BTD.dtype)), None if carry is None else after
