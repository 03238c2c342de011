"""DeltaNet: linear attention that replaces what it holds under a key (Yang et al. 2024).

`step` and `parallel` are those of `lmjax.mixers.delta_rule`, without decay.
"""

from functools import partial

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer

from lmjax.errors import UserError
from lmjax.mixers.attention import width_of_head
from lmjax.mixers.contract import Mixer
from lmjax.mixers.delta_rule import parallel, step, unit_length
from lmjax.mixers.forms import in_chunks, segment_begins
from lmjax.nn.dense import Dense
from lmjax.nn.norms import RMSNorm
from lmjax.nn.precision import wide
from lmjax.nn.short_convolution import ShortConvolution, initial_past


@flax.struct.dataclass
class DeltaCarry:
    """The memory of each head, and the last W - 1 inputs of the convolutions."""

    state_BHKP: jax.Array
    past_BWE: jax.Array


class DeltaNet(Mixer):
    """Projections, short convolutions with SiLU, keys of length one, the delta rule and a norm.

    The memory is float32 whatever the type of x. Raises UserError for sizes below 1, and a width
    that the heads don't divide, unless their own width is given.
    """

    heads: int
    initializer: Initializer
    output_initializer: Initializer
    head_width: int = 0  # K, of queries and keys; 0: width / heads
    value_head_width: int = 0  # P; 0: K
    convolution_width: int = 4
    negative_eigenvalues: bool = False  # beta up to 2 in place of 1 (Grazzi et al. 2024)
    norm_epsilon: float = 1e-5  # added to the mean square
    chunk: int = 64  # tokens that are read at a time

    name_in_errors = "delta_net"

    def __post_init__(self):
        super().__post_init__()
        width_of_head(self.width, self.heads, self.head_width)
        for field, least in dict(value_head_width=0, convolution_width=1, chunk=1).items():
            if getattr(self, field) < least:
                raise UserError(
                    f"{field} of {self.name_in_errors} is {getattr(self, field)}; it is at least "
                    f"{least}"
                )

    @property
    def _sizes(self) -> tuple[int, int, int]:
        """`heads of values, K, P`."""
        k = width_of_head(self.width, self.heads, self.head_width)
        return self.heads, k, self.value_head_width or k

    def initial_carry(self, batch_size: int, max_length: int) -> DeltaCarry:
        heads, k, p = self._sizes
        inner = 2 * self.heads * k + heads * p
        return DeltaCarry(
            state_BHKP=jnp.zeros((batch_size, heads, k, p)),
            past_BWE=initial_past(batch_size, self.convolution_width, inner),
        )

    @nn.compact
    def __call__(
        self,
        x_BTD: jax.Array,
        carry: DeltaCarry | None,
        positions_BT: jax.Array,
        segment_ids_BT: jax.Array | None,
        deterministic: bool,
    ) -> tuple[jax.Array, DeltaCarry | None]:
        """`y_BTD, carry`; the memory is reset at position 0 if there are segments."""
        rows, length, _ = x_BTD.shape
        before = self.initial_carry(rows, length) if carry is None else carry
        q_BTHK, k_BTHK, v_BTHP, past_BWE = self._heads(x_BTD, before.past_BWE, positions_BT)
        rates = self._log_decay(x_BTD), self._beta(x_BTD)
        begins_BT = segment_begins(positions_BT, segment_ids_BT, rows)
        many = partial(in_chunks, parallel, self.chunk)
        inputs = q_BTHK, k_BTHK, v_BTHP, *rates, begins_BT
        y_BTHP, state_BHKP = self.run(step, many, before.state_BHKP, *inputs)
        y_BTE = self._normalised(y_BTHP, x_BTD).astype(x_BTD.dtype).reshape(rows, length, -1)
        axes = "heads", "embed"
        output = Dense(self.width, axes, False, self.output_initializer, name="output")
        return output(y_BTE), None if carry is None else DeltaCarry(state_BHKP, past_BWE)

    def _heads(self, x_BTD, past_BWE, positions_BT):
        """`q_BTHK, k_BTHK, v_BTHP, past_BWE`, one for each head of values."""
        heads, k, p = self._sizes
        inner = 2 * self.heads * k + heads * p
        qkv_BTE = self._dense(inner, "heads", "qkv")(x_BTD)
        convolve = ShortConvolution(self.convolution_width, bias=False, name="convolution")
        qkv_BTE, past_BWE = convolve(qkv_BTE, past_BWE, positions_BT)
        qkv_BTE = nn.silu(qkv_BTE.astype(wide(qkv_BTE.dtype)))
        parts = jnp.split(qkv_BTE, [self.heads * k, 2 * self.heads * k], axis=-1)
        rows, length = x_BTD.shape[:2]
        q, key = (part.reshape(rows, length, self.heads, k) for part in parts[:2])
        q, key = (jnp.repeat(unit_length(x), heads // self.heads, axis=2) for x in (q, key))
        return q * k**-0.5, key, parts[2].reshape(rows, length, heads, p), past_BWE

    def _beta(self, x_BTD) -> jax.Array:
        heads, *_ = self._sizes
        beta_BTH = nn.sigmoid(self._dense(heads, "hidden", "beta", wide_output=True)(x_BTD))
        return 2.0 * beta_BTH if self.negative_eigenvalues else beta_BTH

    def _log_decay(self, x_BTD) -> jax.Array:
        """`log_decay_BTH`: nothing is forgotten."""
        return jnp.zeros((*x_BTD.shape[:2], self._sizes[0]))

    def _normalised(self, y_BTHP, x_BTD) -> jax.Array:
        """`y_BTHP`, each head by itself."""
        rows, length, heads, p = y_BTHP.shape
        norm = RMSNorm(epsilon=self.norm_epsilon, name="norm")
        return norm(y_BTHP.reshape(rows, length * heads, p)).reshape(y_BTHP.shape)

    def _dense(self, features: int, axis: str, name: str, **options: bool) -> Dense:
        return Dense(features, ("embed", axis), False, self.initializer, name=name, **options)
