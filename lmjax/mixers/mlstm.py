"""mLSTM: a matrix memory with exponential gates, between projections up and down.

Beck et al. (2024), Figure 11. E is the inner width.
"""

from functools import partial

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer

from lmjax.errors import UserError
from lmjax.mixers.contract import Mixer
from lmjax.mixers.forms import in_chunks, segment_begins
from lmjax.mixers.matrix_memory import ExponentialGates, MatrixMemory, empty_memory, parallel, step
from lmjax.nn.block_dense import BlockDense
from lmjax.nn.broadcast import at_each_token
from lmjax.nn.dense import Dense
from lmjax.nn.head_norm import HeadNorm
from lmjax.nn.precision import wide
from lmjax.nn.short_convolution import ShortConvolution, initial_past


@flax.struct.dataclass
class MLSTMCarry:
    """The memory, and the last W - 1 inputs of the convolution."""

    memory: MatrixMemory
    past_BWE: jax.Array


class MLSTM(Mixer):
    """Queries and keys are of convolved inputs, values of the inputs; a skip and a gate follow.

    The memory is float32 whatever the type of x. Raises UserError for sizes below 1, and an inner
    width that heads or blocks don't divide.
    """

    heads: int
    initializer: Initializer
    output_initializer: Initializer
    expansion: int = 2  # the inner width as a multiple of the model's
    projection_block: int = 4  # features that one block of the projections to q, k and v sees
    convolution_width: int = 4
    norm_epsilon: float = 1e-5  # added to the variance
    chunk: int = 64  # tokens that are read at a time

    def __post_init__(self):
        super().__post_init__()
        for field in ("heads", "expansion", "projection_block", "convolution_width", "chunk"):
            if getattr(self, field) < 1:
                raise UserError(f"{field} of mlstm is {getattr(self, field)}; it is at least 1")
        for field in ("heads", "projection_block"):
            if self._inner % getattr(self, field):
                raise UserError(
                    f"the inner width {self._inner} of mlstm is not a multiple of {field} "
                    f"{getattr(self, field)}; change one of them"
                )

    @property
    def _inner(self) -> int:
        return self.expansion * self.width

    def initial_carry(self, batch_size: int, max_length: int) -> MLSTMCarry:
        head_width = self._inner // self.heads
        return MLSTMCarry(
            memory=empty_memory(batch_size, self.heads, head_width, head_width),
            past_BWE=initial_past(batch_size, self.convolution_width, self._inner),
        )

    @nn.compact
    def __call__(
        self,
        x_BTD: jax.Array,
        carry: MLSTMCarry | None,
        positions_BT: jax.Array,
        segment_ids_BT: jax.Array | None,
        deterministic: bool,
    ) -> tuple[jax.Array, MLSTMCarry | None]:
        """`y_BTD, carry`; the memory is reset at position 0 if there are segments."""
        rows, length, _ = x_BTD.shape
        before = self.initial_carry(rows, length) if carry is None else carry
        up = Dense(2 * self._inner, ("embed", "mlp"), False, self.initializer, name="up")
        x_BTE, gate_BTE = jnp.split(up(x_BTD), 2, axis=-1)
        convolve = ShortConvolution(self.convolution_width, name="convolution")
        convolved_BTE, past_BWE = convolve(x_BTE, before.past_BWE, positions_BT)
        convolved_BTE = nn.silu(convolved_BTE).astype(x_BTE.dtype)
        blocks = self._inner // self.projection_block
        qkv = [
            BlockDense(blocks, self.initializer, name=name)(source_BTE)
            for name, source_BTE in dict(q=convolved_BTE, k=convolved_BTE, v=x_BTE).items()
        ]
        gates = ExponentialGates(self.heads, 0.0, 0.1, cap=0.0, name="gates")
        log_gates = gates(jnp.concatenate(qkv, axis=-1))
        q_BTHK, k_BTHK, v_BTHP = (
            leaf.reshape(rows, length, self.heads, -1).astype(wide(leaf.dtype)) for leaf in qkv
        )
        begins_BT = segment_begins(positions_BT, segment_ids_BT, rows)
        inputs = q_BTHK, k_BTHK * k_BTHK.shape[-1] ** -0.5, v_BTHP, *log_gates, begins_BT
        many = partial(in_chunks, parallel, self.chunk)
        y_BTHP, memory = self.run(step, many, before.memory, *inputs)
        ones = nn.with_logical_partitioning(nn.initializers.ones, ("mlp",))
        skip_E = self.param("skip", ones, (self._inner,))
        y_BTE = (
            HeadNorm(epsilon=self.norm_epsilon, name="norm")(y_BTHP)
            + at_each_token(skip_E, convolved_BTE) * convolved_BTE
        )
        y_BTE = (y_BTE * nn.silu(gate_BTE)).astype(x_BTD.dtype)
        down = Dense(self.width, ("mlp", "embed"), False, self.output_initializer, name="down")
        return down(y_BTE), None if carry is None else MLSTMCarry(memory, past_BWE)
