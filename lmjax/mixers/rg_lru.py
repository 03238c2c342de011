"""The recurrent block of Griffin, with its RG-LRU (De et al. 2024, sections 2.3 and 2.4).

E is the inner width. The gates' matrices are block-diagonal: H blocks of K = E / H channels.
"""

from functools import partial

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer

from lmjax.errors import UserError
from lmjax.mixers import linear_recurrence
from lmjax.mixers.contract import Mixer
from lmjax.mixers.forms import segment_begins
from lmjax.nn.broadcast import at_each_token
from lmjax.nn.dense import Dense
from lmjax.nn.feed_forward import gelu
from lmjax.nn.precision import wide_product
from lmjax.nn.short_convolution import ShortConvolution, initial_past

POWER = 8.0  # c, by which decays are raised beside their gate
SLOWEST, FASTEST = 0.999, 0.9  # decays a^c at the start of training


@flax.struct.dataclass
class RGLRUCarry:
    """The state, and the last W - 1 tokens' inputs of the convolution."""

    h_BE: jax.Array
    past_BWE: jax.Array


def decay_and_added(x, gate, input_gate, first, rate):
    """`a` and `sqrt(1 - a^2) i x`, with `log a = -c rate r` (equations 1 to 4).

    r and i are the sigmoids of `gate` and `input_gate`. The first token of a segment, which nothing
    decays before, is added at its full size, as in the authors' code.
    """
    log_decay = -POWER * rate * nn.sigmoid(gate)
    # The square root's gradient has no limit where a is 1, so that it is cut off there.
    share = jnp.maximum(-jnp.expm1(2 * log_decay), 1e-7)
    scale = jnp.where(first, 1.0, jnp.sqrt(share))
    return jnp.exp(log_decay), scale * nn.sigmoid(input_gate) * x


def step(h_BE, x_BE, gate_BE, input_gate_BE, first_B, begins_B, *, rate_E):
    """`h_BE, h_BE` after one token: `h = a h + sqrt(1 - a^2) i x` (equation 4)."""
    rate_1E = nn.softplus(rate_E)[None]
    both = decay_and_added(x_BE, gate_BE, input_gate_BE, first_B[:, None], rate_1E)
    return linear_recurrence.step(h_BE, *both, begins_B)


def parallel(h_BE, x_BTE, gate_BTE, input_gate_BTE, first_BT, begins_BT, *, rate_E):
    """`h_BTE, h_BE`: `step` for each of T tokens."""
    rate_BTE = at_each_token(nn.softplus(rate_E), x_BTE)
    both = decay_and_added(x_BTE, gate_BTE, input_gate_BTE, first_BT[..., None], rate_BTE)
    return linear_recurrence.parallel(h_BE, *both, begins_BT)


class RGLRU(Mixer):
    """`W (gelu(W x) * RG-LRU(convolution(W x)))`: two branches, one of which recurs.

    Raises UserError for an inner width that the blocks don't divide, and for widths below 1.
    """

    heads: int
    bias: bool  # of the three projections; the convolution and the gates always have one
    initializer: Initializer
    output_initializer: Initializer
    inner_width: int = 0  # E; 0: the width (in the paper about 4/3 of it)
    blocks: int = 0  # H, of the gates' matrices; 0: the heads of attention (in the paper 16)
    convolution_width: int = 4

    def __post_init__(self):
        super().__post_init__()
        if self.inner_width < 0 or self._blocks < 1 or self._inner % self._blocks:
            raise UserError(
                f"the inner width {self._inner} of rg_lru is not a multiple of its {self._blocks} "
                "blocks; change inner_width or blocks"
            )
        if self.convolution_width < 1:
            raise UserError(f"convolution_width of rg_lru is {self.convolution_width}; at least 1")

    @property
    def _inner(self) -> int:
        return self.inner_width or self.width

    @property
    def _blocks(self) -> int:
        return self.blocks or self.heads

    def initial_carry(self, batch_size: int, max_length: int) -> RGLRUCarry:
        return RGLRUCarry(
            h_BE=jnp.zeros((batch_size, self._inner)),
            past_BWE=initial_past(batch_size, self.convolution_width, self._inner),
        )

    @nn.compact
    def __call__(
        self,
        x_BTD: jax.Array,
        carry: RGLRUCarry | None,
        positions_BT: jax.Array,
        segment_ids_BT: jax.Array | None,
        deterministic: bool,
    ) -> tuple[jax.Array, RGLRUCarry | None]:
        """`y_BTD, carry`; the state is reset at position 0 if there are segments."""
        rows, length, _ = x_BTD.shape
        before = self.initial_carry(rows, length) if carry is None else carry

        def branch(name):
            axes = "embed", "mlp"
            return Dense(self._inner, axes, self.bias, self.initializer, name=name)(x_BTD)

        beside_BTE = gelu(branch("gate"))
        convolve = ShortConvolution(self.convolution_width, name="convolution")
        x_BTE, past_BWE = convolve(branch("input"), before.past_BWE, positions_BT)
        first_BT = jnp.broadcast_to(positions_BT == 0, (rows, length))
        begins_BT = segment_begins(positions_BT, segment_ids_BT, rows)
        inputs = x_BTE, *self._gates(x_BTE.astype(x_BTD.dtype)), first_BT, begins_BT
        rate_E = self.parameter("rate", draw_rates, ("mlp",), (self._inner,))
        one, many = (partial(form, rate_E=rate_E) for form in (step, parallel))
        h_BTE, h_BE = self.run(one, many, before.h_BE, *inputs)
        y_BTE = beside_BTE * h_BTE.astype(x_BTD.dtype)
        axes = "mlp", "embed"
        output = Dense(self.width, axes, self.bias, self.output_initializer, name="output")
        return output(y_BTE), None if carry is None else RGLRUCarry(h_BE, past_BWE)

    def _gates(self, x_BTE: jax.Array) -> tuple[jax.Array, jax.Array]:
        """What the sigmoids of the recurrence's and the input's gate are of, each by blocks."""
        rows, length, inner = x_BTE.shape
        block = inner // self._blocks
        lecun = nn.initializers.lecun_normal(batch_axis=0)  # section 2.4
        blocks = self._blocks, block, 2 * block
        kernel_HKG = self.parameter("gate_kernel", lecun, ("heads", "hidden", None), blocks)
        zeros = nn.initializers.zeros
        bias_HG = self.parameter("gate_bias", zeros, ("heads", None), (self._blocks, 2 * block))
        x_HNK = x_BTE.reshape(-1, self._blocks, block).swapaxes(0, 1)
        sums_HNG = wide_product(x_HNK, kernel_HKG.astype(x_BTE.dtype)) + bias_HG[:, None]
        sums_BTHG = sums_HNG.swapaxes(0, 1).reshape(rows, length, self._blocks, 2 * block)
        gate_BTHK, input_gate_BTHK = jnp.split(sums_BTHG, 2, axis=-1)
        return gate_BTHK.reshape(x_BTE.shape), input_gate_BTHK.reshape(x_BTE.shape)


def draw_rates(key, shape, dtype=jnp.float32):
    """What softplus takes to decays a^c that are uniform between FASTEST and SLOWEST."""
    power_E = jax.random.uniform(key, shape, dtype, FASTEST, SLOWEST)
    return jnp.log(jnp.expm1(-jnp.log(power_E) / POWER))
