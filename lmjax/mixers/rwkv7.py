"""RWKV-7: the delta rule with a decay and a learning rate of each number (Peng et al. 2025).

H heads, K the width of keys and values alike; a state is KP, the second being that of values.
What parameters begin as is from the authors' code.
"""

from functools import partial

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jax.nn.initializers import Initializer

from lmjax.errors import UserError
from lmjax.mixers.contract import Mixer
from lmjax.mixers.delta_rule import solve_unit_lower, unit_length
from lmjax.mixers.forms import in_chunks, in_first_segment, same_segment, segment_begins
from lmjax.nn.dense import Dense
from lmjax.nn.head_norm import HeadNorm
from lmjax.nn.token_shift import draw_mix, shifted

FASTEST = np.exp(-0.5)  # minus the smallest logarithm of a decay (section 4.1)
LONGEST = 128  # tokens of a chunk, over half of which a decay's inverse stays below e^39
MIX_POWERS = dict(r=0.2, w=0.9, k=0.7, v=0.7, a=0.9, g=0.2)
MIDDLE = 0.5  # the place of a layer, from 0 to 1, on which what parameters begin as depends


@flax.struct.dataclass
class RWKV7Carry:
    """The state of each head, and the last token's x."""

    state_BHKP: jax.Array
    last_BD: jax.Array


def step(state_BHKP, r_BHK, log_w_BHK, k_BHK, v_BHP, kappa_BHK, a_BHK, begins_B):
    """`y_BHP, state_BHKP` after one token; a row whose token begins a segment starts from zeros.

    `S = (diag(w) - (a * kappa) kappa^T) S + k v^T`, `y = S^T r` (section 4.1, transposed):
    what the state holds under the removal key kappa, of length one, is taken away at the rate a.
    """
    state_BHKP = jnp.where(begins_B[:, None, None, None], 0.0, state_BHKP)
    held_BHP = jnp.einsum("bhkp,bhk->bhp", state_BHKP, kappa_BHK)
    state_BHKP = jnp.exp(log_w_BHK)[..., None] * state_BHKP
    state_BHKP -= (a_BHK * kappa_BHK)[..., None] * held_BHP[:, :, None]
    state_BHKP += k_BHK[..., None] * v_BHP[:, :, None]
    return jnp.einsum("bhkp,bhk->bhp", state_BHKP, r_BHK), state_BHKP


def parallel(state_BHKP, r_BTHK, log_w_BTHK, k_BTHK, v_BTHP, kappa_BTHK, a_BTHK, begins_BT):
    """`y_BTHP, state_BHKP`: `step` for each of T tokens, by one triangular system.

    As in the delta rule, the system is for what each token finds held under its removal key. Decays
    between two tokens are products of one factor each, both taken from the middle of the T tokens:
    as no decay is below exp(-FASTEST), none of them overflows for T of at most LONGEST.
    """
    inputs = r_BTHK, log_w_BTHK, k_BTHK, v_BTHP, kappa_BTHK, a_BTHK * kappa_BTHK
    r_BHTK, log_w_BHTK, k_BHTK, v_BHTP, kappa_BHTK, taken_BHTK = (
        leaf.swapaxes(1, 2) for leaf in inputs
    )
    total_BHTK = jnp.cumsum(log_w_BHTK, axis=2)
    middle_BH1K = total_BHTK[:, :, total_BHTK.shape[2] // 2, None]
    after_BHTK, before_BHTK = total_BHTK - middle_BH1K, total_BHTK - log_w_BHTK - middle_BH1K
    written_BHKS, taken_BHKS = (
        (leaf * jnp.exp(-after_BHTK)).swapaxes(2, 3) for leaf in (k_BHTK, taken_BHTK)
    )
    seen_BHTS = same_segment(begins_BT)[:, None]
    earlier_BHTS = seen_BHTS & jnp.tri(seen_BHTS.shape[-1], k=-1, dtype=bool)[None, None]

    def overlap(left_BHTK, exponent_BHTK, right_BHKS, mask_BHTS):
        overlap_BHTS = (left_BHTK * jnp.exp(exponent_BHTK)) @ right_BHKS
        return jnp.where(mask_BHTS, overlap_BHTS, 0.0)

    first_BHT1 = in_first_segment(begins_BT)[:, None, :, None]

    def of_state(left_BHTK, exponent_BHTK):
        decay_BHTK = jnp.exp(jnp.where(first_BHT1, exponent_BHTK, -jnp.inf))
        return (left_BHTK * decay_BHTK) @ state_BHKP

    right_BHTP = of_state(kappa_BHTK, before_BHTK + middle_BH1K)
    right_BHTP += overlap(kappa_BHTK, before_BHTK, written_BHKS, earlier_BHTS) @ v_BHTP
    lower_BHTS = overlap(kappa_BHTK, before_BHTK, taken_BHKS, earlier_BHTS)
    held_BHTP = solve_unit_lower(lower_BHTS, right_BHTP)
    y_BHTP = of_state(r_BHTK, total_BHTK)
    y_BHTP += overlap(r_BHTK, after_BHTK, written_BHKS, seen_BHTS) @ v_BHTP
    y_BHTP -= overlap(r_BHTK, after_BHTK, taken_BHKS, seen_BHTS) @ held_BHTP
    left_BHTK = jnp.exp(total_BHTK[:, :, -1:] - total_BHTK)
    left_BHTK = jnp.where(seen_BHTS[:, :, -1, :, None], left_BHTK, 0.0)
    kept_BHK = jnp.where(first_BHT1[:, :, -1], jnp.exp(total_BHTK[:, :, -1]), 0.0)
    state_BHKP = kept_BHK[..., None] * state_BHKP
    state_BHKP += (left_BHTK * k_BHTK).swapaxes(2, 3) @ v_BHTP
    state_BHKP -= (left_BHTK * taken_BHTK).swapaxes(2, 3) @ held_BHTP
    return y_BHTP.swapaxes(1, 2), state_BHKP


class RWKV7(Mixer):
    """The time mixing of RWKV-7 (section 4.1), without the residual of the first layer's values.

    That residual would be the only path between layers beside the stream, for which a stack has
    none. The state is float32 whatever the type of x. Raises UserError for a width that the heads
    don't divide into at least two, negative ranks, and chunks that are not from 1 to LONGEST.
    """

    heads: int
    initializer: Initializer
    output_initializer: Initializer
    decay_rank: int = 0  # of what decays follow from; 0: 2.5 sqrt(width) in steps of 32
    rate_rank: int = 0  # of what learning rates follow from; 0: likewise
    gate_rank: int = 0  # of the gate; 0: 5 sqrt(width) in steps of 32
    chunk: int = 32  # tokens that are read at a time

    def __post_init__(self):
        super().__post_init__()
        if self.heads < 1 or self.width % self.heads or self.width < 2 * self.heads:
            raise UserError(
                f"model.width {self.width} is not a multiple of model.heads {self.heads}, twice it "
                "or more; change one of them"
            )
        for field in ("decay_rank", "rate_rank", "gate_rank"):
            if getattr(self, field) < 0:
                raise UserError(f"{field} of rwkv7 is {getattr(self, field)}; it is at least 0")
        if not 1 <= self.chunk <= LONGEST:
            raise UserError(f"chunk of rwkv7 is {self.chunk}; it is from 1 to {LONGEST}")

    def initial_carry(self, batch_size: int, max_length: int) -> RWKV7Carry:
        head_width = self.width // self.heads
        return RWKV7Carry(
            state_BHKP=jnp.zeros((batch_size, self.heads, head_width, head_width)),
            last_BD=jnp.zeros((batch_size, self.width)),
        )

    @nn.compact
    def __call__(
        self,
        x_BTD: jax.Array,
        carry: RWKV7Carry | None,
        positions_BT: jax.Array,
        segment_ids_BT: jax.Array | None,
        deterministic: bool,
    ) -> tuple[jax.Array, RWKV7Carry | None]:
        """`y_BTD, carry`; the memory is reset at position 0 if there are segments."""
        rows, length, width = x_BTD.shape
        before = self.initial_carry(rows, length) if carry is None else carry
        begins_BT = segment_begins(positions_BT, segment_ids_BT, rows)
        before_BTD, last_BD = shifted(x_BTD, before.last_BD, begins_BT)
        x = {
            name: x_BTD + ((before_BTD - x_BTD) * self._mix(name, power)).astype(x_BTD.dtype)
            for name, power in MIX_POWERS.items()
        }
        r, k, v = (
            self._dense(name, width, self.initializer, x[of])
            for name, of in dict(receptance="r", key="k", value="v").items()
        )
        log_w = self._low_rank("decay", x["w"], self.decay_rank or rank_of(2.5, width), nn.tanh)
        log_w = -FASTEST * nn.sigmoid(log_w + self._vector("decay_bias", self._decay_bias))
        a = self._low_rank("rate", x["a"], self.rate_rank or rank_of(2.5, width))
        a = nn.sigmoid(a + self._vector("rate_bias", self._rate_bias))
        gate = self._low_rank("gate", x["g"], self.gate_rank or rank_of(5.0, width), nn.sigmoid)

        def heads(leaf_BTD):
            return leaf_BTD.reshape(rows, length, self.heads, -1)

        removal = self._vector("removal_scale", lambda place_D: 0.71 - 0.1 * (place_D - 0.5))
        kappa = unit_length(heads(k * removal), epsilon=1e-12)
        k *= 1.0 + (a - 1.0) * self._vector("replacement", lambda place_D: 1.02 + 0.0 * place_D)
        inputs = *map(heads, (r, log_w, k, v)), kappa, heads(a), begins_BT
        many = partial(in_chunks, parallel, self.chunk)
        y_BTHP, state_BHKP = self.run(step, many, before.state_BHKP, *inputs)
        bonus = self._vector("bonus", lambda place_D: -0.04 + 0.0 * place_D)
        bonus_BTHP = heads(r * k * bonus).sum(axis=-1, keepdims=True) * heads(v)
        norm = HeadNorm(bias=True, epsilon=1e-5 * (width // self.heads), name="norm")
        y_BTD = (norm(y_BTHP) + bonus_BTHP.reshape(rows, length, width)) * gate
        y_BTD = self._dense("output", width, self.output_initializer, y_BTD.astype(x_BTD.dtype))
        y_BTD = y_BTD.astype(x_BTD.dtype)
        return y_BTD, None if carry is None else RWKV7Carry(state_BHKP, last_BD)

    def _dense(self, name, features, initializer, x_BTD) -> jax.Array:
        """The product in float32."""
        axes = ("heads", "embed") if name == "output" else ("embed", "heads")
        return Dense(features, axes, False, initializer, wide_output=True, name=name)(x_BTD)

    def _low_rank(self, name, x_BTD, rank, activation=lambda x: x) -> jax.Array:
        zeros, orthogonal = nn.initializers.zeros, nn.initializers.orthogonal(0.1)
        down = Dense(rank, ("embed", "hidden"), False, zeros, True, name=f"{name}_down")
        up = Dense(x_BTD.shape[-1], ("hidden", "heads"), False, orthogonal, True, name=f"{name}_up")
        return up(activation(down(x_BTD)))

    def _mix(self, name, power) -> jax.Array:
        draw = nn.with_logical_partitioning(draw_mix(power * (1.0 - MIDDLE)), ("embed",))
        return self.param(f"mix_{name}", draw, (self.width,))[None, None]

    def _vector(self, name, of_place) -> jax.Array:
        """A parameter for each channel, which begins as a function of its place, from 0 to 1."""

        def initialize(key, shape, dtype=jnp.float32):
            return jnp.asarray(of_place(np.linspace(0.0, 1.0, *shape)), dtype)

        initializer = nn.with_logical_partitioning(initialize, ("embed",))
        return self.param(name, initializer, (self.width,))[None, None]

    def _decay_bias(self, place_D):
        return -5.5 + 6.0 * place_D ** (1.0 + MIDDLE**0.3) + 2.5 * self._zigzag()

    def _rate_bias(self, place_D):
        return -0.19 + 0.4 * (place_D - 0.5) + 0.3 * self._zigzag()

    def _zigzag(self) -> np.ndarray:
        """From -1 to 1 over the channels of each head, and slower around 0."""
        along_K = np.linspace(-1.0, 1.0, self.width // self.heads)
        return np.tile(along_K * np.abs(along_K), self.heads)


def rank_of(factor: float, width: int) -> int:
    """`factor sqrt(width)` in steps of 32, of which it is at least one."""
    return max(32, 32 * round(factor * width**0.5 / 32))
