"""Mamba: a state-space model whose parameters follow from its input (Gu and Dao 2023, Algorithm 2).

E is the inner width, N the state width, W the width of the convolution. Each of E channels has a
state of N numbers, which `step` says how one token changes.
"""

import math
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
from lmjax.nn.broadcast import at_each_token, for_each_row
from lmjax.nn.dense import Dense
from lmjax.nn.initializers import symmetric_uniform
from lmjax.nn.precision import wide
from lmjax.nn.short_convolution import ShortConvolution, initial_past

SHORTEST, LONGEST = 1e-3, 0.1  # time steps at the start of training


@flax.struct.dataclass
class MambaCarry:
    """The state, and the last W - 1 tokens' inputs of the convolution."""

    h_BNE: jax.Array
    past_BWE: jax.Array


def step(h_BNE, x_BE, delta_BE, b_BN, c_BN, begins_B, *, a_BNE):
    """`y_BE, h_BNE` after one token; a row whose token begins a segment starts from zeros.

    `h = exp(delta a) h + delta b x`, `y = c h` (equations 2 and 4, with `delta b` for the exact
    integral of b, as in the authors' code).
    """
    h_BNE = jnp.where(begins_B[:, None, None], 0.0, h_BNE)
    decay_BNE = jnp.exp(delta_BE[:, None] * a_BNE)
    h_BNE = decay_BNE * h_BNE + jnp.einsum("be,bn->bne", delta_BE * x_BE, b_BN)
    return jnp.einsum("bne,bn->be", h_BNE, c_BN), h_BNE


def parallel(h_BNE, x_BTE, delta_BTE, b_BTN, c_BTN, begins_BT, *, a_BNE):
    """`y_BTE, h_BNE`: `step` for each of T tokens. It holds B T E N numbers at a time."""
    decay_BTNE = jnp.exp(delta_BTE[:, :, None] * a_BNE[:, None])
    added_BTNE = (delta_BTE * x_BTE)[:, :, None] * b_BTN[..., None]
    h_BTNE, h_BNE = linear_recurrence.parallel(h_BNE, decay_BTNE, added_BTNE, begins_BT)
    return jnp.einsum("btne,btn->bte", h_BTNE, c_BTN), h_BNE


class Mamba(Mixer):
    """Projection, short causal convolution, selective state space and gate (Figure 3).

    The state is float32 whatever the type of x. Raises UserError for sizes below 1.
    """

    initializer: Initializer
    output_initializer: Initializer
    state_width: int = 16
    convolution_width: int = 4
    expansion: int = 2  # the inner width as a multiple of the model's
    rank: int = 0  # of the projection to time steps; 0: a sixteenth of the width, rounded up
    chunk: int = 32  # tokens whose states are held at a time

    def __post_init__(self):
        super().__post_init__()
        for field in ("state_width", "convolution_width", "expansion", "chunk"):
            if getattr(self, field) < 1:
                raise UserError(f"{field} of mamba is {getattr(self, field)}; it is at least 1")
        if self.rank < 0:
            raise UserError(f"rank of mamba is {self.rank}; give 0 for a sixteenth of the width")

    def initial_carry(self, batch_size: int, max_length: int) -> MambaCarry:
        inner = self.expansion * self.width
        return MambaCarry(
            h_BNE=jnp.zeros((batch_size, self.state_width, inner)),
            past_BWE=initial_past(batch_size, self.convolution_width, inner),
        )

    @nn.compact
    def __call__(
        self,
        x_BTD: jax.Array,
        carry: MambaCarry | None,
        positions_BT: jax.Array,
        segment_ids_BT: jax.Array | None,
        deterministic: bool,
    ) -> tuple[jax.Array, MambaCarry | None]:
        """`y_BTD, carry`; the state is reset at position 0 if there are segments."""
        rows, length, _ = x_BTD.shape
        before = self.initial_carry(rows, length) if carry is None else carry
        inner = self.expansion * self.width
        both_BTE = Dense(2 * inner, ("embed", "mlp"), False, self.initializer, name="input")(x_BTD)
        x_BTE, gate_BTE = jnp.split(both_BTE, 2, axis=-1)
        convolve = ShortConvolution(self.convolution_width, name="convolution")
        convolved_BTE, past_BWE = convolve(x_BTE, before.past_BWE, positions_BT)
        x_BTE = nn.silu(convolved_BTE).astype(x_BTE.dtype)
        begins_BT = segment_begins(positions_BT, segment_ids_BT, rows)
        y_BTE, h_BNE = self._select(before.h_BNE, x_BTE, begins_BT)
        y_BTE = (y_BTE * nn.silu(gate_BTE)).astype(x_BTD.dtype)
        output = Dense(self.width, ("mlp", "embed"), False, self.output_initializer, name="output")
        return output(y_BTE), None if carry is None else MambaCarry(h_BNE, past_BWE)

    def _select(self, h_BNE, x_BTE, begins_BT) -> tuple[jax.Array, jax.Array]:
        """`y_BTE, h_BNE` of the state space whose time step, b and c are projections of x."""
        inner, states = x_BTE.shape[-1], self.state_width
        rank = self.rank or math.ceil(self.width / 16)
        project = Dense(
            rank + 2 * states, ("mlp", "hidden"), False, self.initializer, True, name="selection"
        )
        low_BTR, b_BTN, c_BTN = jnp.split(project(x_BTE), [rank, rank + states], axis=-1)
        uniform = symmetric_uniform(rank**-0.5)
        kernel_RE = self.parameter("step_kernel", uniform, ("hidden", "mlp"), (rank, inner))
        bias_E = self.parameter("step_bias", draw_step_bias, ("mlp",), (inner,))
        delta_BTE = nn.softplus(low_BTR @ kernel_RE + bias_E[None, None])
        log_a_EN = self.parameter("log_decay", real_decay, ("mlp", None), (inner, states))
        skip_E = self.parameter("skip", nn.initializers.ones, ("mlp",), (inner,))
        x_BTE = x_BTE.astype(wide(x_BTE.dtype))
        a_BNE = for_each_row(-jnp.exp(log_a_EN).T, len(x_BTE))
        one, many = (partial(form, a_BNE=a_BNE) for form in (step, parallel))
        inputs = x_BTE, delta_BTE, b_BTN, c_BTN, begins_BT
        many = linear_recurrence.wide_parallel(one, many, self.chunk)
        y_BTE, h_BNE = self.run(one, many, h_BNE, *inputs)
        return y_BTE + at_each_token(skip_E, x_BTE) * x_BTE, h_BNE


def real_decay(key, shape, dtype=jnp.float32):
    """The logarithm of 1, 2, ... N in each channel (S4D-Real; section 3.6)."""
    return jnp.broadcast_to(jnp.log(jnp.arange(1, shape[1] + 1, dtype=dtype)), shape)


def draw_step_bias(key, shape, dtype=jnp.float32):
    """What softplus takes to time steps as they are drawn (section 3.6)."""
    time_steps = draw_time_steps(key, shape, dtype)
    return time_steps + jnp.log(-jnp.expm1(-time_steps))


def draw_time_steps(key, shape, dtype=jnp.float32):
    """Log-uniformly between SHORTEST and LONGEST."""
    low, high = math.log(SHORTEST), math.log(LONGEST)
    return jnp.exp(jax.random.uniform(key, shape, dtype, low, high))
