"""LRU: a complex diagonal linear recurrence (Orvieto et al. 2023).

N is the state width. Complex numbers are held as pairs of real ones, the real parts first: the
carry is `h_B2N`, projections from and to the state have 2 N columns and rows.
"""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from lmjax.errors import UserError
from lmjax.mixers import linear_recurrence
from lmjax.mixers.contract import Mixer
from lmjax.mixers.forms import segment_begins
from lmjax.nn.broadcast import at_each_token
from lmjax.nn.dense import Dense
from lmjax.nn.precision import wide

SMALLEST = 1e-9  # of what is drawn uniformly from 0 on and has a logarithm


def step(h_BN, added_BN, begins_B, *, decay_N):
    """`h_BN, h_BN` after one token: `h = lambda h + gamma B x`, all complex (equation 7)."""
    return linear_recurrence.step(h_BN, decay_N[None], added_BN, begins_B)


def parallel(h_BN, added_BTN, begins_BT, *, decay_N):
    """`h_BTN, h_BN`: `step` for each of T tokens."""
    decay_BTN = at_each_token(decay_N, added_BTN)
    return linear_recurrence.parallel(h_BN, decay_BTN, added_BTN, begins_BT)


class LRU(Mixer):
    """`h = lambda h + gamma B x`, `y = Re(C h) + D x`, without a nonlinearity of its own.

    The paper's block has a gated linear unit behind it, which here is the layer's feed-forward
    network. Raises UserError for sizes below 0, and for a ring outside of the unit disk.
    """

    state_width: int = 0  # N, complex numbers; 0: the width
    smallest_radius: float = 0.9  # of lambda at the start of training; 0.0 and 1.0: the whole disk
    largest_radius: float = 0.999
    largest_phase: float = 6.283185307179586  # of lambda at the start; pi / 10 for long sequences

    def __post_init__(self):
        super().__post_init__()
        if self.state_width < 0:
            raise UserError(f"state_width of lru is {self.state_width}; give 0 for the width")
        if not 0 <= self.smallest_radius < self.largest_radius <= 1:
            raise UserError(
                f"radii of lru are {self.smallest_radius} and {self.largest_radius}; give two "
                "numbers of 0 to 1, the smaller one first"
            )
        if not self.largest_phase > 0:
            raise UserError(f"largest_phase of lru is {self.largest_phase}; give more than 0")

    @property
    def _states(self) -> int:
        return self.state_width or self.width

    def initial_carry(self, batch_size: int, max_length: int) -> jax.Array:
        return jnp.zeros((batch_size, 2, self._states))

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
        before_B2N = self.initial_carry(rows, length) if carry is None else carry
        decay_N, scale_N = self._decay()
        normal = partial(Dense, wide_output=True)
        # Re and Im of B have the deviation 1/sqrt(2 D), those of C 1/sqrt(N) (appendix A).
        to_state = nn.initializers.normal((2 * width) ** -0.5)
        from_state = nn.initializers.normal(self._states**-0.5)
        project = normal(2 * self._states, ("embed", "mlp"), False, to_state, name="input")
        added_BTN = lax.complex(*jnp.split(project(x_BTD), 2, axis=-1))
        added_BTN *= at_each_token(scale_N, added_BTN)
        begins_BT = segment_begins(positions_BT, segment_ids_BT, rows)
        one, many = (partial(form, decay_N=decay_N) for form in (step, parallel))
        h_BN = lax.complex(before_B2N[:, 0], before_B2N[:, 1])
        h_BTN, h_BN = self.run(one, many, h_BN, added_BTN, begins_BT)
        # Re(C h): the rows for Im h hold -Im C.
        parts_BTN = jnp.concatenate([h_BTN.real, h_BTN.imag], axis=-1)
        output = normal(width, ("mlp", "embed"), False, from_state, name="output")
        y_BTD = output(parts_BTN)
        skip_D = self.parameter("skip", nn.initializers.normal(1.0), ("embed",), (width,))
        y_BTD += at_each_token(skip_D, x_BTD) * x_BTD.astype(wide(x_BTD.dtype))
        carry = None if carry is None else jnp.stack([h_BN.real, h_BN.imag], axis=1)
        return y_BTD.astype(x_BTD.dtype), carry

    def _decay(self) -> tuple[jax.Array, jax.Array]:
        """`lambda_N`, within the unit disk, and `gamma_N` (equations 6 and 7)."""
        shape = (self._states,)
        log_rate_N = self.parameter("log_rate", self._draw_log_rates, ("mlp",), shape)
        log_phase_N = self.parameter("log_phase", self._draw_log_phases, ("mlp",), shape)
        rate_N = jnp.exp(log_rate_N)
        # At the start, sqrt(1 - |lambda|^2); a parameter of its own from then on.
        log_scale_N = self.param(
            "log_scale",
            nn.with_logical_partitioning(
                lambda key: 0.5 * jnp.log(-jnp.expm1(-2 * rate_N)), ("mlp",)
            ),
        )
        radius_N, phase_N = jnp.exp(-rate_N), jnp.exp(log_phase_N)
        decay_N = lax.complex(radius_N * jnp.cos(phase_N), radius_N * jnp.sin(phase_N))
        return decay_N, jnp.exp(log_scale_N)

    def _draw_log_rates(self, key, shape, dtype=jnp.float32):
        """Of radii whose squares are uniform, so that lambda is so over a ring (lemma 3.2)."""
        low, high = self.smallest_radius**2, self.largest_radius**2
        square_N = jax.random.uniform(key, shape, dtype, low, high)
        return jnp.log(-0.5 * jnp.log(jnp.maximum(square_N, SMALLEST)))

    def _draw_log_phases(self, key, shape, dtype=jnp.float32):
        phase_N = jax.random.uniform(key, shape, dtype, 0.0, self.largest_phase)
        return jnp.log(jnp.maximum(phase_N, SMALLEST))
