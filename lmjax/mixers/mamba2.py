"""Mamba-2: a state-space model whose state decays by one number a head (Dao and Gu 2024).

E is the inner width, all heads together; V the width of each head; N the state width; G the groups
of heads that share b and c. Structured state space duality: it is attention whose keys are b, whose
queries are c, and whose weights decay, so `lmjax.mixers.decayed_attention` computes it.
"""

from functools import partial

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer

from lmjax.errors import UserError
from lmjax.mixers import decayed_attention
from lmjax.mixers.contract import Mixer
from lmjax.mixers.forms import in_chunks, segment_begins
from lmjax.mixers.mamba import draw_step_bias
from lmjax.nn.broadcast import at_each_token
from lmjax.nn.dense import Dense
from lmjax.nn.norms import RMSNorm
from lmjax.nn.precision import wide
from lmjax.nn.short_convolution import ShortConvolution, initial_past

SLOWEST, FASTEST = 1.0, 16.0  # rates of decay a unit of time, at the start of training


@flax.struct.dataclass
class Mamba2Carry:
    """The state, and the last W - 1 tokens' inputs of the convolution."""

    s_BHNV: jax.Array
    past_BWE: jax.Array


def step(s_BHNV, x_BHV, delta_BH, b_BGN, c_BGN, begins_B, *, a_H):
    """`y_BHV, s_BHNV` after one token: `S = exp(delta a) S + delta b x^T`, `y = S^T c`.

    (Section 2.1 with `delta b` for the exact integral of b, in heads as in section 7.2.)
    """
    heads = a_H.shape[0]
    log_decay_BH1 = (delta_BH * a_H[None])[..., None]
    inputs = _of_heads(c_BGN, heads), _of_heads(b_BGN, heads), delta_BH[..., None] * x_BHV
    return decayed_attention.step(s_BHNV, *inputs, log_decay_BH1, begins_B)


def parallel(s_BHNV, x_BTHV, delta_BTH, b_BTGN, c_BTGN, begins_BT, *, a_H):
    """`y_BTHV, s_BHNV`: `step` for each of T tokens (a block of Figure 5)."""
    heads = a_H.shape[0]
    log_decay_BTH1 = (delta_BTH * a_H[None, None])[..., None]
    inputs = _of_heads(c_BTGN, heads), _of_heads(b_BTGN, heads), delta_BTH[..., None] * x_BTHV
    return decayed_attention.parallel(s_BHNV, *inputs, log_decay_BTH1, begins_BT)


def _of_heads(groups, heads):
    return jnp.repeat(groups, heads // groups.shape[-2], axis=-2)


class Mamba2(Mixer):
    """Projection, short causal convolution, state space, gate and norm (Figure 6, parallel block).

    The state is float32 whatever the type of x. Raises UserError for sizes below 1, heads that
    don't make up the inner width, and groups that don't divide them.
    """

    initializer: Initializer
    output_initializer: Initializer
    state_width: int = 128
    head_width: int = 64
    groups: int = 1  # of heads that share b and c, each normed by itself
    convolution_width: int = 4
    expansion: int = 2  # the inner width as a multiple of the model's
    chunk: int = 64  # tokens that are read at a time

    def __post_init__(self):
        super().__post_init__()
        sizes = "state_width", "head_width", "groups", "convolution_width", "expansion", "chunk"
        for field in sizes:
            if getattr(self, field) < 1:
                raise UserError(f"{field} of mamba2 is {getattr(self, field)}; it is at least 1")
        inner = self.expansion * self.width
        if inner % self.head_width or inner // self.head_width % self.groups:
            raise UserError(
                f"the inner width {inner} of mamba2, expansion times model.width, is not a multiple"
                f" of head_width {self.head_width} times groups {self.groups}; change one of them"
            )

    def initial_carry(self, batch_size: int, max_length: int) -> Mamba2Carry:
        inner = self.expansion * self.width
        shape = batch_size, inner // self.head_width, self.state_width, self.head_width
        convolved = inner + 2 * self.groups * self.state_width
        past_BWE = initial_past(batch_size, self.convolution_width, convolved)
        return Mamba2Carry(jnp.zeros(shape), past_BWE)

    @nn.compact
    def __call__(
        self,
        x_BTD: jax.Array,
        carry: Mamba2Carry | None,
        positions_BT: jax.Array,
        segment_ids_BT: jax.Array | None,
        deterministic: bool,
    ) -> tuple[jax.Array, Mamba2Carry | None]:
        """`y_BTD, carry`; the state is reset at position 0 if there are segments."""
        rows, length, width = x_BTD.shape
        before = self.initial_carry(rows, length) if carry is None else carry
        inner, shared = self.expansion * width, self.groups * self.state_width
        heads = inner // self.head_width
        sizes = 2 * inner + 2 * shared + heads
        project = Dense(sizes, ("embed", "mlp"), False, self.initializer, name="input")
        gate_BTE, mixed_BTE, step_BTH = jnp.split(
            project(x_BTD), [inner, 2 * inner + 2 * shared], axis=-1
        )
        convolve = ShortConvolution(self.convolution_width, name="convolution")
        convolved_BTE, past_BWE = convolve(mixed_BTE, before.past_BWE, positions_BT)
        x_BTE, *bc = jnp.split(nn.silu(convolved_BTE), [inner, inner + shared], axis=-1)
        b_BTGN, c_BTGN = (leaf.reshape(rows, length, self.groups, -1) for leaf in bc)
        x_BTHV = x_BTE.reshape(rows, length, heads, self.head_width)
        begins_BT = segment_begins(positions_BT, segment_ids_BT, rows)

        of_heads = ("mlp",), (heads,)
        step_bias_H = self.parameter("step_bias", draw_step_bias, *of_heads)
        delta_BTH = nn.softplus(step_BTH.astype(wide(x_BTD.dtype)) + step_bias_H[None, None])
        a_H = -jnp.exp(self.parameter("log_decay", draw_log_rate, *of_heads))
        skip_H = self.parameter("skip", nn.initializers.ones, *of_heads)
        one, many = (partial(form, a_H=a_H) for form in (step, parallel))
        inputs = x_BTHV, delta_BTH, b_BTGN, c_BTGN, begins_BT
        many = partial(in_chunks, many, self.chunk)
        y_BTHV, s_BHNV = self.run(one, many, before.s_BHNV, *inputs)
        y_BTHV += skip_H[None, None, :, None] * x_BTHV
        y_BTE = self._gated_norm(y_BTHV.reshape(rows, length, inner), gate_BTE)
        output = Dense(width, ("mlp", "embed"), False, self.output_initializer, name="output")
        y_BTD = output(y_BTE.astype(x_BTD.dtype))
        return y_BTD, None if carry is None else Mamba2Carry(s_BHNV, past_BWE)

    def _gated_norm(self, y_BTE, gate_BTE) -> jax.Array:
        """`y_BTE` times its gate, with mean square one in each group of heads, scaled."""
        y_BTE *= nn.silu(gate_BTE.astype(y_BTE.dtype))
        y_BTGE = y_BTE.reshape(*y_BTE.shape[:2], self.groups, -1)
        y_BTE = RMSNorm(parent=None).normalised(y_BTGE).reshape(y_BTE.shape)
        scale_E = self.parameter("scale", nn.initializers.ones, ("mlp",), y_BTE.shape[-1:])
        return y_BTE * at_each_token(scale_E, y_BTE)


def draw_log_rate(key, shape, dtype=jnp.float32, slowest=SLOWEST):
    """Logarithms of rates drawn uniformly from `slowest` to FASTEST, as in the authors' code."""
    return jnp.log(jax.random.uniform(key, shape, dtype, slowest, FASTEST))
