"""Differential attention: what two maps of attention have in common is taken away (Ye et al. 2024).

Forms, cache and options are those of `lmjax.mixers.attention`; what is subtracted is this file's.
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from lmjax.errors import UserError
from lmjax.mixers.attention import Attention

SPREAD = 0.1  # the deviation of the vectors that lambda is learned by, as in the authors' code


def lambda_at_start(layer: int) -> float:
    """`0.8 - 0.6 exp(-0.3 layer)`, the first layer being 0 (section 2.1); 0.8 for a negative one.

    With that number in all layers they found nearly the same loss (section 3.8).
    """
    return 0.8 - 0.6 * math.exp(-0.3 * layer) if layer >= 0 else 0.8


def subtract(y_BTHK: jax.Array, strength: jax.Array) -> jax.Array:
    """`A_1 v - strength A_2 v` (equation 1): of H heads the first half is A_1's, the second A_2's.

    It is computed in the type of `strength`.
    """
    first_BTHK, second_BTHK = jnp.split(y_BTHK.astype(strength.dtype), 2, axis=2)
    return first_BTHK - strength * second_BTHK


class DifferentialAttention(Attention):
    """Heads i and H / 2 + i are maps of one differential head, whose values are both heads' values.

    So it has as many parameters as attention with as many `heads`, beside four vectors for lambda
    and the scale of the heads' norm. A stack tells an unrolled layer its number; where layers are
    scanned all are alike, and lambda begins at 0.8 in each. Dropout falls on each map by itself, of
    which the paper says nothing. Raises UserError for an odd number of heads.
    """

    layer: int = -1  # its number, from 0; -1: not known

    def __post_init__(self):
        super().__post_init__()
        for field, heads in (("heads", self.heads), ("key_value_heads", self._key_value_heads)):
            if heads % 2:
                raise UserError(
                    f"{field} of differential_attention are {heads}; two make a differential head, "
                    "so give an even number"
                )

    def _attend(self, q_BTHK, k_BTGK, v_BTGK, carry, segment_ids_BT, read):
        """`y_BTHK` of H / 2 heads of twice the width (section 2.1), and the carry."""

        def read_both(q_BTHK, k_BSGK, v_BSGK, *where, **part):
            both_BSGK = jnp.concatenate(jnp.split(v_BSGK, 2, axis=2), axis=3)
            return read(q_BTHK, k_BSGK, jnp.tile(both_BSGK, (1, 1, 2, 1)), *where, **part)

        given = q_BTHK, k_BTGK, v_BTGK, carry, segment_ids_BT
        read_BTHK, carry = super()._attend(*given, read_both)
        begin = lambda_at_start(self.layer)
        y_BTHK = self._normalised("head", subtract(read_BTHK, self._strength() + begin))
        return ((1 - begin) * y_BTHK).astype(q_BTHK.dtype), carry

    def _strength(self) -> jax.Array:
        """What lambda was moved by: `exp(q_1 k_1) - exp(q_2 k_2)` (equation 2)."""
        initializer = nn.with_logical_partitioning(nn.initializers.normal(SPREAD), (None, None))
        shape = 2, self._head_width
        q_NK, k_NK = (self.param(f"lambda_{name}", initializer, shape) for name in ("query", "key"))
        one, other = jnp.exp(jnp.sum(q_NK * k_NK, axis=1))
        return one - other
