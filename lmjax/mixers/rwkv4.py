"""RWKV-4: means of values, weighted by exponentials of keys that decay in time (Peng et al. 2023).

E is the width; each of its channels is by itself. What parameters begin as is from the authors'
code.
"""

import math
from functools import partial

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
from jax import lax
from jax.nn.initializers import Initializer

from lmjax.mixers import linear_recurrence
from lmjax.mixers.contract import Mixer
from lmjax.mixers.forms import segment_begins
from lmjax.nn.broadcast import at_each_token, beside
from lmjax.nn.dense import Dense
from lmjax.nn.token_shift import draw_mix, shifted

LOWEST = -1e38  # the maximum of no keys
MIDDLE = 0.5  # the place of a layer, from 0 to 1, on which what parameters begin as depends


@flax.struct.dataclass
class WeightedSums:
    """Sums of weighted values and of weights, both divided by `exp(maximum)`."""

    values_BE: jax.Array
    weights_BE: jax.Array
    maximum_BE: jax.Array  # of the logarithms of weights

    def reset(self, begins_B):
        """No sums in the rows where a segment begins."""
        begins_BE = beside(begins_B, self.maximum_BE)
        return WeightedSums(
            jnp.where(begins_BE, 0.0, self.values_BE),
            jnp.where(begins_BE, 0.0, self.weights_BE),
            jnp.where(begins_BE, LOWEST, self.maximum_BE),
        )

    def add(self, log_weight_BE, v_BE):
        """The sums with one more value. As no mean depends on the maximum, it has no gradient."""
        maximum_BE = lax.stop_gradient(jnp.maximum(self.maximum_BE, log_weight_BE))
        kept_BE, weight_BE = (
            jnp.exp(log_BE - maximum_BE) for log_BE in (self.maximum_BE, log_weight_BE)
        )
        return WeightedSums(
            kept_BE * self.values_BE + weight_BE * v_BE,
            kept_BE * self.weights_BE + weight_BE,
            maximum_BE,
        )


@flax.struct.dataclass
class RWKV4Carry:
    """The sums of each channel, and the last token's x."""

    sums: WeightedSums
    last_BD: jax.Array


def step(sums, k_BE, v_BE, begins_B, *, decay_E, bonus_E):
    """`y_BE, sums` after one token; a row whose token begins a segment starts from none.

    `y` is the mean of the values, by weights of `exp(bonus + k)` for this token and of
    `exp(k - (n - 1) decay)` for the one n before it (section 3, "WKV operator"), from sums that no
    key makes too large (appendix on the time-mixing block as an RNN cell).
    """
    sums = sums.reset(begins_B)
    seen = sums.add(bonus_E[None] + k_BE, v_BE)
    decayed = sums.replace(maximum_BE=sums.maximum_BE - decay_E[None])
    return seen.values_BE / seen.weights_BE, decayed.add(k_BE, v_BE)


def parallel(sums, k_BTE, v_BTE, begins_BT, *, decay_E, bonus_E):
    """`y_BTE, sums`: `step` for each of T tokens.

    Maxima are a recurrence by themselves; divided by them, both sums are a linear one.
    """
    decay_BTE = at_each_token(decay_E, k_BTE)
    log_decay_BTE = jnp.where(beside(begins_BT, k_BTE), -jnp.inf, -decay_BTE)
    first_BE = sums.maximum_BE
    maximum_BTE = linear_recurrence.maxima(first_BE, log_decay_BTE, k_BTE)
    before_BTE = _before(first_BE, maximum_BTE)
    kept_BTE = jnp.exp(before_BTE + log_decay_BTE - maximum_BTE)
    weight_BTE = jnp.exp(k_BTE - maximum_BTE)
    added_BT2E = jnp.stack([weight_BTE * v_BTE, weight_BTE], axis=2)
    kept_BT2E = jnp.broadcast_to(kept_BTE[:, :, None], added_BT2E.shape)
    h_B2E = jnp.stack([sums.values_BE, sums.weights_BE], axis=1)
    h_BT2E, after_B2E = linear_recurrence.parallel(h_B2E, kept_BT2E, added_BT2E, begins_BT)
    before_BT2E = _before(h_B2E, h_BT2E)
    seen = WeightedSums(before_BT2E[:, :, 0], before_BT2E[:, :, 1], before_BTE)
    seen = seen.reset(begins_BT).add(at_each_token(bonus_E, k_BTE) + k_BTE, v_BTE)
    sums = WeightedSums(after_B2E[:, 0], after_B2E[:, 1], maximum_BTE[:, -1])
    return seen.values_BE / seen.weights_BE, sums


class RWKV4(Mixer):
    """The time mixing of RWKV-4: `(sigmoid(r) * wkv) W_ED`.

    r, k and v are of x with a part of the token before, `mix`, which is the paper's 1 - mu. In a
    pattern, `rwkv_channel_mixing` with `receptance` stands after it, each of them without a
    feed-forward network. The sums are float32 whatever the type of x.
    """

    initializer: Initializer
    output_initializer: Initializer

    def initial_carry(self, batch_size: int, max_length: int) -> RWKV4Carry:
        zeros_BD = jnp.zeros((batch_size, self.width))
        return RWKV4Carry(WeightedSums(zeros_BD, zeros_BD, zeros_BD + LOWEST), zeros_BD)

    @nn.compact
    def __call__(
        self,
        x_BTD: jax.Array,
        carry: RWKV4Carry | None,
        positions_BT: jax.Array,
        segment_ids_BT: jax.Array | None,
        deterministic: bool,
    ) -> tuple[jax.Array, RWKV4Carry | None]:
        """`y_BTD, carry`; the sums are reset at position 0 if there are segments."""
        rows, length, width = x_BTD.shape
        before = self.initial_carry(rows, length) if carry is None else carry
        begins_BT = segment_begins(positions_BT, segment_ids_BT, rows)
        before_BTD, last_BD = shifted(x_BTD, before.last_BD, begins_BT)

        def projected(name, initializer):
            mix_D = self.parameter(f"mix_{name}", initializer, ("embed",), (width,))
            mix_BTD = at_each_token(mix_D, x_BTD)
            mixed_BTD = x_BTD + ((before_BTD - x_BTD) * mix_BTD).astype(x_BTD.dtype)
            axes = "embed", "heads"
            return Dense(width, axes, False, self.initializer, True, name=name)(mixed_BTD)

        k_BTE = projected("key", draw_mix(1.0 - MIDDLE))
        v_BTE = projected("value", draw_value_mix)
        r_BTE = projected("receptance", draw_mix(0.5 * (1.0 - MIDDLE)))
        decay_E = jnp.exp(self.parameter("log_decay", log_decays, ("heads",), (width,)))
        bonus_E = self.parameter("bonus", bonuses, ("heads",), (width,))
        one, many = (partial(form, decay_E=decay_E, bonus_E=bonus_E) for form in (step, parallel))
        y_BTE, sums = self.run(one, many, before.sums, k_BTE, v_BTE, begins_BT)
        y_BTE = (nn.sigmoid(r_BTE) * y_BTE).astype(x_BTD.dtype)
        axes = "heads", "embed"
        output = Dense(width, axes, False, self.output_initializer, name="output")
        return output(y_BTE), None if carry is None else RWKV4Carry(sums, last_BD)


def draw_value_mix(key, shape, dtype=jnp.float32):
    """Less of the token before than keys have."""
    return draw_mix(1.0 - MIDDLE)(key, shape, dtype) - 0.3 * MIDDLE


def log_decays(key, shape, dtype=jnp.float32):
    """From -5 to 3 over the channels."""
    return -5.0 + 8.0 * jnp.linspace(0.0, 1.0, *shape, dtype=dtype) ** (0.7 + 1.3 * MIDDLE)


def bonuses(key, shape, dtype=jnp.float32):
    """Around log 0.3, half more or less in two channels of three."""
    return math.log(0.3) + 0.5 * ((jnp.arange(*shape, dtype=dtype) + 1) % 3 - 1)


def _before(first_BE, of_BTE):
    """What there was before each token."""
    return jnp.concatenate([first_BE[:, None], of_BTE[:, :-1]], axis=1)
