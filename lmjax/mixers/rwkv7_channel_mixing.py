"""The channel mixing of RWKV-7: a feed-forward network that remembers one token.

Peng et al. (2025), section 4.2. F is the inner width.
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
from lmjax.nn.token_shift import draw_mix, shifted

MIX_POWER = 0.5**4  # of a layer in the middle, in the authors' code


def step(last_BD, x_BD, begins_B):
    """`before_BD, x_BD`: what is remembered is the token; one that begins a segment sees zeros."""
    return jnp.where(begins_B[:, None], 0.0, last_BD), x_BD.astype(last_BD.dtype)


def parallel(last_BD, x_BTD, begins_BT):
    """`before_BTD, last_BD`: `step` for each of T tokens."""
    return shifted(x_BTD, last_BD, begins_BT)


class RWKV7ChannelMixing(Mixer):
    """`y = relu(x' W_DF)^2 W_FD`, of x' = x + mix (the token before - x).

    In a pattern it stands after `rwkv7`, each of them without a feed-forward network. Raises
    UserError for an expansion below 1.
    """

    initializer: Initializer
    output_initializer: Initializer
    expansion: int = 4  # the inner width as a multiple of the model's

    def __post_init__(self):
        super().__post_init__()
        if self.expansion < 1:
            raise UserError(
                f"expansion of rwkv7_channel_mixing is {self.expansion}; it is at least 1"
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
        mix = nn.with_logical_partitioning(draw_mix(MIX_POWER), ("embed",))
        mix_D = self.param("mix", mix, (self.width,))
        mixed_BTD = x_BTD + ((before_BTD - x_BTD) * at_each_token(mix_D, x_BTD)).astype(x_BTD.dtype)
        inner, axes = self.expansion * self.width, ("embed", "mlp")
        key = Dense(inner, axes, False, self.initializer, name="key")
        value = Dense(self.width, axes[::-1], False, self.output_initializer, name="value")
        return value(jnp.square(nn.relu(key(mixed_BTD)))), None if carry is None else last_BD
