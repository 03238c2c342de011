"""Gated DeltaNet: the delta rule with a decay of the whole memory (Yang, Kautz and Hatamizadeh
2024, Figure 1), with more heads of values than of keys as in Qwen3-Next, if asked for."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from lmjax.errors import UserError
from lmjax.mixers.delta_net import DeltaNet
from lmjax.mixers.mamba import draw_step_bias
from lmjax.mixers.mamba2 import draw_log_rate

SLOWEST = 0.01  # rate of decay a unit of time, at the start of training; in the authors' code 0


class GatedDeltaNet(DeltaNet):
    """DeltaNet whose memory decays by `alpha = exp(-rate softplus(W x + b))`, and a gate of SiLU.

    The decay is Mamba-2's. Raises UserError as DeltaNet does, and for heads of values that are not
    a multiple of those of keys.
    """

    value_heads: int = 0  # a multiple of heads, each of which then serves several; 0: heads

    name_in_errors = "gated_delta_net"

    def __post_init__(self):
        super().__post_init__()
        if self.value_heads < 0 or self.value_heads % self.heads:
            raise UserError(
                f"value_heads of gated_delta_net is {self.value_heads}; give a multiple of "
                f"model.heads {self.heads}, or 0 for as many"
            )

    @property
    def _sizes(self) -> tuple[int, int, int]:
        _, k, p = super()._sizes
        return self.value_heads or self.heads, k, p

    def _log_decay(self, x_BTD) -> jax.Array:
        heads, *_ = self._sizes
        steps_BTH = self._dense(heads, "hidden", "step", wide_output=True)(x_BTD)
        steps_BTH += self._of_heads("step_bias", draw_step_bias)
        return -jnp.exp(
            self._of_heads("log_rate", partial(draw_log_rate, slowest=SLOWEST))
        ) * nn.softplus(steps_BTH)

    def _of_heads(self, name, initializer) -> jax.Array:
        initializer = nn.with_logical_partitioning(initializer, (None,))
        return self.param(name, initializer, self._sizes[:1])[None, None]

    def _normalised(self, y_BTHP, x_BTD) -> jax.Array:
        gate_BTE = self._dense(y_BTHP[0, 0].size, "heads", "gate", wide_output=True)(x_BTD)
        return super()._normalised(y_BTHP, x_BTD) * nn.silu(gate_BTE).reshape(y_BTHP.shape)
