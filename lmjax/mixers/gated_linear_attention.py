"""Gated linear attention: each number of a key decays by a gate (Yang et al. 2023, section 4).

K is the width of keys and queries, V that of values.
"""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer

from lmjax.errors import UserError
from lmjax.mixers.contract import Mixer
from lmjax.mixers.decayed_attention import parallel, step
from lmjax.mixers.forms import in_chunks, segment_begins
from lmjax.nn.dense import Dense
from lmjax.nn.gated_output import GatedOutput
from lmjax.nn.precision import wide


class GatedLinearAttention(Mixer):
    """`S = diag(a) S + k v^T`, `y = S^T q`, where a follows from x (equation 3 and section 4.4).

    `a = sigmoid(x W_1 W_2 + b)^(1 / temperature)`. `step` and `parallel` are those of
    `lmjax.mixers.decayed_attention`. The state is float32. Raises UserError for sizes below 1, a
    width that the heads don't divide, and a temperature that is not above 0.
    """

    heads: int
    initializer: Initializer
    output_initializer: Initializer
    key_expansion: float = 0.5  # the width of all keys as a multiple of the model's
    rank: int = 16  # of the projection to the gates
    temperature: float = 16.0  # the higher, the slower is what is forgotten
    chunk: int = 16  # tokens that are read at a time

    def __post_init__(self):
        super().__post_init__()
        if self.rank < 1 or self.chunk < 1 or self.temperature <= 0:
            raise UserError(
                f"rank {self.rank} and chunk {self.chunk} of gated_linear_attention are at least 1,"
                f" and its temperature {self.temperature} is above 0"
            )
        keys = round(self.key_expansion * self.width)
        if self.heads < 1 or keys < 1 or keys % self.heads or self.width % self.heads:
            raise UserError(
                f"the width {self.width} and that of all keys, {keys}, of gated_linear_attention "
                f"are not multiples of {self.heads} heads; change heads, width or key_expansion"
            )

    @property
    def _key_width(self) -> int:
        return round(self.key_expansion * self.width) // self.heads

    def initial_carry(self, batch_size: int, max_length: int) -> jax.Array:
        return jnp.zeros((batch_size, self.heads, self._key_width, self.width // self.heads))

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
        keys = self.heads * self._key_width
        axes = "embed", "heads"
        project = Dense(2 * keys + width, axes, False, self.initializer, name="qkv")
        down = Dense(self.rank, ("embed", "hidden"), False, self.initializer, name="decay_down")
        up = Dense(keys, ("hidden", "heads"), True, self.initializer, True, name="decay_up")
        log_decay_BTE = nn.log_sigmoid(up(down(x_BTD))) / self.temperature
        qkv = jnp.split(project(x_BTD).astype(wide(x_BTD.dtype)), [keys, 2 * keys], axis=-1)
        inputs = [leaf.reshape(rows, length, self.heads, -1) for leaf in (*qkv, log_decay_BTE)]
        begins_BT = segment_begins(positions_BT, segment_ids_BT, rows)
        many = partial(in_chunks, parallel, self.chunk)
        y_BTHV, after = self.run(step, many, before, *inputs, begins_BT)
        output = GatedOutput(False, self.initializer, self.output_initializer, name="gated")
        return output(x_BTD, y_BTHV), None if carry is None else after
