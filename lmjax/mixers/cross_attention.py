"""Attention of the tokens of one text to those of another (Vaswani et al. 2017, section 3.2.3)."""

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer

from lmjax.mixers.attention import query_initializer, width_of_head
from lmjax.mixers.dot_product_attention import parallel
from lmjax.nn.dense import Dense
from lmjax.nn.dropout import Dropout
from lmjax.nn.precision import wide


@flax.struct.dataclass
class SourceMemory:
    """Keys and values of the S tokens of a source, and which of them are no padding."""

    k_BSHK: jax.Array
    v_BSHK: jax.Array
    visible_BS: jax.Array


class CrossAttention(nn.Module):
    """Each token attends to all of a source that was read before; to an empty one, it adds zeros.

    The fields are those of `lmjax.mixers.attention.Attention`.
    """

    width: int
    heads: int
    bias: bool
    dropout: float
    initializer: Initializer
    output_initializer: Initializer
    head_width: int = 0
    scaled: bool = True

    def setup(self):
        inner = self.heads * self._head_width
        axes = "embed", "heads"
        queries = query_initializer(self.initializer, inner, self._head_width, self.scaled)
        self.query = Dense(inner, axes, self.bias, queries)
        self.key_value = Dense(2 * inner, axes, self.bias, self.initializer)
        self.output = Dense(self.width, axes[::-1], self.bias, self.output_initializer)
        self.drop = Dropout(self.dropout)

    @property
    def _head_width(self) -> int:
        return width_of_head(self.width, self.heads, self.head_width)

    def remember(self, encoded_BSD: jax.Array, visible_BS: jax.Array) -> SourceMemory:
        """What is computed once of a source, in float32."""
        heads = *encoded_BSD.shape[:2], 2 * self.heads, self._head_width
        key_value = self.key_value(encoded_BSD).reshape(heads).astype(wide(encoded_BSD.dtype))
        k_BSHK, v_BSHK = jnp.split(key_value, 2, axis=2)
        return SourceMemory(k_BSHK, v_BSHK, visible_BS)

    def __call__(self, x_BTD: jax.Array, memory: SourceMemory, deterministic: bool) -> jax.Array:
        """`y_BTD`; the attention weights are sown as the intermediate `weights_BHTS`."""

        def drop(weights_BHTS):
            self.sow("intermediates", "weights_BHTS", weights_BHTS)
            return self.drop(weights_BHTS, deterministic=deterministic)

        q_BTHK = self.query(x_BTD).reshape(*x_BTD.shape[:2], self.heads, self._head_width)
        k_BSHK, v_BSHK = (part.astype(x_BTD.dtype) for part in (memory.k_BSHK, memory.v_BSHK))
        y_BTHK = parallel(
            q_BTHK,
            k_BSHK,
            v_BSHK,
            memory.visible_BS[:, None, :],
            drop,
            scaled=self.scaled,
        )
        is_there_B = memory.visible_BS.any(axis=1)
        y_BTHK = jnp.where(is_there_B[:, None, None, None], y_BTHK, 0.0)
        return self.output(y_BTHK.reshape(*x_BTD.shape[:2], -1))
