"""The channel mixing of RWKV: a feed-forward network that remembers one token.

Of RWKV-7 (Peng et al. 2025, section 4.2), and with `receptance` of RWKV-4 (Peng et al. 2023,
section 3). F is the inner width.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer

from lmjax.errors import UserError
from lmjax.mixers.contract import Mixer
from lmjax.mixers.forms import segment_begins
from lmjax.nn.broadcast import at_each_token
from lmjax.nn.dense import Dense
from lmjax.nn.feed_forward import squared_relu
from lmjax.nn.token_shift import draw_mix, shifted

# Powers of the shares of the token before, for a layer in the middle, in the authors' code.
RWKV4_POWER, RWKV7_POWER = 0.5, 0.5**4


def step(last_BD, x_BD, begins_B):
    """`before_BD, x_BD`: what is remembered is the token; one that begins a segment sees zeros."""
    return jnp.where(begins_B[:, None], 0.0, last_BD), x_BD.astype(last_BD.dtype)


def parallel(last_BD, x_BTD, begins_BT):
    """`before_BTD, last_BD`: `step` for each of T tokens."""
    return shifted(x_BTD, last_BD, begins_BT)


class RWKVChannelMixing(Mixer):
    """`y = relu(x' W_DF)^2 W_FD`, of x' = x + mix (the token before - x).

    With `receptance`, `y` is multiplied by `sigmoid(x'' W_DD)`, whose x'' has a mix of its own. It
    stands after the time mixing in a pattern, each of them without a feed-forward network. Raises
    UserError for an expansion below 1.
    """

    initializer: Initializer
    output_initializer: Initializer
    expansion: int = 4  # the inner width as a multiple of the model's
    receptance: bool = False  # a gate, which RWKV-4 has

    def __post_init__(self):
        super().__post_init__()
        if self.expansion < 1:
            raise UserError(
                f"expansion of rwkv_channel_mixing is {self.expansion}; it is at least 1"
            )

    def initial_carry(self, batch_size: int, max_length: int) -> jax.Array:
        return jnp.zeros((batch_size, self.width))

    @nn.compact
    def __call__(
        self,
        x_BTD: jax.Array,
        carry: jax.Array | None,
        positions_BT: jax.Array,
        segment_ids_BT: jax.Array | None,
        deterministic: bool,
    ) -> tuple[jax.Array, jax.Array | None]:
        """`y_BTD, carry`, which is the last token's x."""
        rows, length, _ = x_BTD.shape
        last_BD = self.initial_carry(rows, length) if carry is None else carry
        begins_BT = segment_begins(positions_BT, segment_ids_BT, rows)
        before_BTD, last_BD = self.run(step, parallel, last_BD, x_BTD, begins_BT)
        draw = draw_mix(RWKV4_POWER if self.receptance else RWKV7_POWER)

        def projected(name, mix, features):
            mix_BTD = at_each_token(self.parameter(mix, draw, ("embed",), (self.width,)), x_BTD)
            mixed_BTD = x_BTD + ((before_BTD - x_BTD) * mix_BTD).astype(x_BTD.dtype)
            return Dense(features, ("embed", "mlp"), False, self.initializer, name=name)(mixed_BTD)

        key_BTF = squared_relu(projected("key", "mix", self.expansion * self.width))
        value = Dense(self.width, ("mlp", "embed"), False, self.output_initializer, name="value")
        y_BTD = value(key_BTF)
        if self.receptance:
            y_BTD *= nn.sigmoid(projected("receptance", "mix_receptance", self.width))
        return y_BTD, None if carry is None else last_BD
