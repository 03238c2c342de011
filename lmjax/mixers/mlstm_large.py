"""The mLSTM of xLSTM 7B: a matrix memory at the width of the model (Beck et al. 2025, section 3).

Unlike in 2024 there is no convolution and no projection up, and a feed-forward network follows.
"""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer

from lmjax.errors import UserError
from lmjax.mixers.contract import Mixer
from lmjax.mixers.forms import in_chunks, segment_begins
from lmjax.mixers.matrix_memory import ExponentialGates, MatrixMemory, empty_memory, parallel, step
from lmjax.nn.dense import Dense
from lmjax.nn.head_norm import HeadNorm
from lmjax.nn.precision import wide

INPUT_BIAS = -10.0  # of the input gates at the start of training (section 3.2)


class MLSTMLarge(Mixer):
    """Projections, the matrix memory, a norm of each head and a sigmoid gate.

    The memory is float32 whatever the type of x. Raises UserError for sizes below 1, a negative
    cap, and a width that the heads don't divide.
    """

    heads: int
    initializer: Initializer
    output_initializer: Initializer
    key_width: int = 0  # of all heads' queries and keys; 0: half the width
    gate_cap: float = 15.0  # a smooth bound of the gates' sums; 0: none
    norm_epsilon: float = 1e-5  # added to the variance
    chunk: int = 64  # tokens that are read at a time

    def __post_init__(self):
        super().__post_init__()
        if self.heads < 1 or self.chunk < 1 or self.gate_cap < 0 or self.key_width < 0:
            raise UserError(
                f"heads {self.heads} and chunk {self.chunk} of mlstm_large are at least 1, "
                f"key_width {self.key_width} and gate_cap {self.gate_cap} at least 0"
            )
        for name, width in dict(width=self.width, key_width=self._key_width).items():
            if width < 1 or width % self.heads:
                raise UserError(
                    f"the {name} {width} of mlstm_large is not a multiple of model.heads "
                    f"{self.heads}; change one of them"
                )

    @property
    def _key_width(self) -> int:
        return self.key_width or self.width // 2

    def initial_carry(self, batch_size: int, max_length: int) -> MatrixMemory:
        heads = self.heads
        return empty_memory(batch_size, heads, self._key_width // heads, self.width // heads)

    @nn.compact
    def __call__(
        self,
        x_BTD: jax.Array,
        carry: MatrixMemory | None,
        positions_BT: jax.Array,
        segment_ids_BT: jax.Array | None,
        deterministic: bool,
    ) -> tuple[jax.Array, MatrixMemory | None]:
        """`y_BTD, carry`; the memory is reset at position 0 if there are segments."""
        rows, length, _ = x_BTD.shape
        before = self.initial_carry(rows, length) if carry is None else carry
        axes, keys = ("embed", "heads"), self._key_width
        sizes = keys, 2 * keys, 2 * keys + self.width
        project = Dense(2 * (keys + self.width), axes, False, self.initializer, name="qkvo")
        *qkv, gate_BTD = jnp.split(project(x_BTD), sizes, axis=-1)
        q_BTHK, k_BTHK, v_BTHP = (
            leaf.reshape(rows, length, self.heads, -1).astype(wide(leaf.dtype)) for leaf in qkv
        )
        gates = ExponentialGates(self.heads, INPUT_BIAS, 0.0, self.gate_cap, name="gates")
        begins_BT = segment_begins(positions_BT, segment_ids_BT, rows)
        inputs = q_BTHK, k_BTHK * k_BTHK.shape[-1] ** -0.5, v_BTHP, *gates(x_BTD), begins_BT
        many = partial(in_chunks, parallel, self.chunk)
        y_BTHP, memory = self.run(step, many, before, *inputs)
        norm = HeadNorm(epsilon=self.norm_epsilon, name="norm")
        y_BTD = norm(y_BTHP) * nn.sigmoid(gate_BTD.astype(wide(x_BTD.dtype)))
        output = Dense(self.width, axes[::-1], False, self.output_initializer, name="output")
        return output(y_BTD.astype(x_BTD.dtype)), None if carry is None else memory
