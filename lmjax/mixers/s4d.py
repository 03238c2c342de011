"""S4D: a diagonal state-space model, the same at each time (Gu et al. 2022).

Each of E = D channels has a state of N complex numbers of its own: `h' = A h + x`, discretised
exactly for an x that holds for a time step (zero-order hold). What x is then multiplied by, in the
paper B, is multiplied into C, so that `step` adds x itself.
"""

import math
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jax.nn.initializers import Initializer

from lmjax.errors import UserError, nearest
from lmjax.mixers import linear_recurrence
from lmjax.mixers.contract import Mixer
from lmjax.mixers.forms import segment_begins
from lmjax.mixers.mamba import draw_time_steps
from lmjax.nn.broadcast import at_each_token, beside
from lmjax.nn.dense import Dense
from lmjax.nn.feed_forward import gelu
from lmjax.nn.precision import wide

# A_n at the start of training, for n = 0, 1, ... (section 4.3): its real and imaginary part. Of two
# conjugate numbers, one is computed; S4D-Real has no imaginary part, and all of its numbers are.
SPECTRA = {
    "linear": lambda n_N: (jnp.full(n_N.shape, -0.5), math.pi * n_N),
    "inverse": lambda n_N: (
        jnp.full(n_N.shape, -0.5),
        2 * len(n_N) / math.pi * (2 * len(n_N) / (2 * n_N + 1) - 1),
    ),
    "real": lambda n_N: (-(n_N + 1), None),
}


def step(h_BEN, x_BE, is_token_B, begins_B, *, log_decay_EN, c_EN):
    """`y_BE, h_BEN` after one token: `h = exp(log_decay) h + x`, `y = Re(c h)` (section 3.2).

    What is not a token but padding leaves the state as it is.
    """
    decay_BEN = jnp.where(beside(is_token_B, h_BEN), jnp.exp(log_decay_EN)[None], 1.0)
    h_BEN = decay_BEN * jnp.where(beside(begins_B, h_BEN), 0.0, h_BEN) + x_BE[..., None]
    return _real_part("ben,en->be", h_BEN, c_EN), h_BEN


def parallel(h_BEN, x_BTE, is_token_BT, begins_BT, *, log_decay_EN, c_EN):
    """`y_BTE, h_BEN`: `step` for each of T tokens; it holds B T E N numbers."""
    decay_BTEN = jnp.exp(
        jnp.where(beside(is_token_BT, h_BEN[:, None]), log_decay_EN[None, None], 0)
    )
    added_BTEN = jnp.broadcast_to(x_BTE[..., None], decay_BTEN.shape).astype(decay_BTEN.dtype)
    h_BTEN, h_BEN = linear_recurrence.parallel(h_BEN, decay_BTEN, added_BTEN, begins_BT)
    return _real_part("bten,en->bte", h_BTEN, c_EN), h_BEN


def convolution(h_BEN, x_BTE, *, log_decay_EN, c_EN, chunk):
    """`y_BTE, h_BEN`: `parallel` where no segment begins; with an h of None, it is none after, too.

    y is the convolution of x with what an input of 1 leads to (section 3.3), by Fourier transforms:
    of 2 T numbers, so that no end meets a beginning. What would be of the size of T E N is computed
    for `chunk` tokens at a time, and anew in the backward pass.
    """
    length = x_BTE.shape[1]
    powers_KEN = jnp.exp(jnp.arange(chunk)[:, None, None] * log_decay_EN[None])
    over_chunk_EN = jnp.exp(chunk * log_decay_EN)

    def left_alone(h_BEN):
        @partial(jax.checkpoint, prevent_cse=False)
        def one(h_BEN, _):
            y_BKE = _real_part("ben,ken->bke", c_EN[None] * h_BEN, powers_KEN)
            return over_chunk_EN[None] * h_BEN, y_BKE

        _, y_CBKE = lax.scan(one, h_BEN, length=-(-length // chunk))
        return y_CBKE.swapaxes(0, 1).reshape(len(h_BEN), -1, x_BTE.shape[-1])[:, :length]

    def remembered():
        padded_BTE = jnp.pad(x_BTE, ((0, 0), (-length % chunk, 0), (0, 0)))
        x_CBKE = padded_BTE.reshape(len(x_BTE), -1, chunk, x_BTE.shape[-1]).swapaxes(0, 1)
        reversed_KEN = powers_KEN[::-1]

        @partial(jax.checkpoint, prevent_cse=False)
        def one(h_BEN, x_BKE):
            real_BEN = jnp.einsum("bke,ken->ben", x_BKE, reversed_KEN.real)
            imaginary_BEN = jnp.einsum("bke,ken->ben", x_BKE, reversed_KEN.imag)
            return over_chunk_EN[None] * h_BEN + lax.complex(real_BEN, imaginary_BEN), None

        return lax.scan(one, jnp.zeros_like(h_BEN), x_CBKE)[0]

    response_BTE = left_alone(jnp.ones_like(c_EN)[None])
    transform = partial(jnp.fft.rfft, n=2 * length, axis=1)
    product_BFE = transform(x_BTE) * transform(response_BTE)
    y_BTE = jnp.fft.irfft(product_BFE, n=2 * length, axis=1)[:, :length]
    if h_BEN is None:
        return y_BTE, None
    y_BTE += left_alone(jnp.exp(log_decay_EN)[None] * h_BEN)
    return y_BTE, jnp.exp(length * log_decay_EN)[None] * h_BEN + remembered()


class S4D(Mixer):
    """The state-space model of each channel, then GELU and a gated linear unit (section 4.1).

    In parallel, a row without segments is convolved: with the gradient, 2,048 tokens of 256
    channels and 32 complex numbers each take 20 to 30 ms on CPU, and 60 to 110 with a carry; the
    recurrence takes 65 to 200 ms. It is for rows of several segments, which a convolution would
    mix. Raises UserError for an unknown spectrum and sizes that can't be.
    """

    initializer: Initializer
    output_initializer: Initializer
    state_width: int = 64  # real numbers a channel: twice N, for S4D-Real N
    spectrum: str = "linear"  # linear | inverse | real
    chunk: int = 64  # tokens whose powers, or states, are computed at a time

    def __post_init__(self):
        super().__post_init__()
        if self.spectrum not in SPECTRA:
            hint = nearest(self.spectrum, SPECTRA)
            raise UserError(f"unknown spectrum {self.spectrum!r} of s4d: {hint}")
        if self.state_width < 2 or self.state_width % 2:
            raise UserError(f"state_width of s4d is {self.state_width}; give an even number")
        if self.chunk < 1:
            raise UserError(f"chunk of s4d is {self.chunk}; it is at least 1")

    @property
    def _states(self) -> int:
        return self.state_width if self.spectrum == "real" else self.state_width // 2

    def initial_carry(self, batch_size: int, max_length: int) -> jax.Array:
        return jnp.zeros((batch_size, 2, self.width, self._states))

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
        log_decay_EN, c_EN = self._space()
        x_BTE = x_BTD.astype(wide(x_BTD.dtype))
        h_BEN = None if carry is None else lax.complex(carry[:, 0], carry[:, 1])
        space = dict(log_decay_EN=log_decay_EN, c_EN=c_EN)
        if segment_ids_BT is None and self.form == "parallel" and x_BTD.shape[1] > 1:
            y_BTE, h_BEN = convolution(h_BEN, x_BTE, **space, chunk=self.chunk)
        else:
            rows, length, _ = x_BTD.shape
            if h_BEN is None:
                h_BEN = jnp.zeros((rows, *c_EN.shape), c_EN.dtype)
            is_token_BT = jnp.ones((rows, length), bool)
            begins_BT = segment_begins(positions_BT, segment_ids_BT, rows)
            one, many = (partial(form, **space) for form in (step, parallel))
            many = linear_recurrence.wide_parallel(one, many, self.chunk)
            y_BTE, h_BEN = self.run(one, many, h_BEN, x_BTE, is_token_BT, begins_BT)
        skip_E = self.parameter("skip", nn.initializers.normal(1.0), ("mlp",), (self.width,))
        y_BTD = gelu(y_BTE + at_each_token(skip_E, x_BTE) * x_BTE).astype(x_BTD.dtype)
        axes = "embed", "mlp"
        value = Dense(self.width, axes, True, self.output_initializer, name="output")(y_BTD)
        gate = Dense(self.width, axes, True, self.initializer, name="gate")(y_BTD)
        carry = None if carry is None else jnp.stack([h_BEN.real, h_BEN.imag], axis=1)
        return value * nn.sigmoid(gate), carry

    def _space(self) -> tuple[jax.Array, jax.Array]:
        """The logarithm of the decays, and what y is read by (equations 3 and 4)."""
        states = ("mlp", None), (self.width, self._states)
        real_N, imaginary_N = SPECTRA[self.spectrum](jnp.arange(self._states, dtype=jnp.float32))

        def alike(first_N):
            return lambda key, shape: jnp.broadcast_to(first_N, shape)

        log_step_E = self.parameter("log_step", _draw_log_steps, ("mlp",), (self.width,))
        real_EN = -jnp.exp(self.parameter("log_real", alike(jnp.log(-real_N)), *states))
        half = nn.initializers.normal(0.5**0.5)
        c_real_EN = self.parameter("c_real", half, *states)
        if imaginary_N is None:
            imaginary_EN = c_imaginary_EN = jnp.zeros_like(real_EN)
        else:
            imaginary_EN = self.parameter("imaginary", alike(imaginary_N), *states)
            c_imaginary_EN = self.parameter("c_imaginary", half, *states)
            c_real_EN, c_imaginary_EN = 2 * c_real_EN, 2 * c_imaginary_EN  # with the conjugates
        a_EN = lax.complex(real_EN, imaginary_EN)
        log_decay_EN = jnp.exp(log_step_E)[:, None] * a_EN
        return log_decay_EN, lax.complex(c_real_EN, c_imaginary_EN) * jnp.expm1(log_decay_EN) / a_EN


def _draw_log_steps(key, shape):
    return jnp.log(draw_time_steps(key, shape))


def _real_part(equation, left, right):
    """The real part of what `jnp.einsum` gives for two complex arrays."""
    product = partial(jnp.einsum, equation)
    return product(left.real, right.real) - product(left.imag, right.imag)
