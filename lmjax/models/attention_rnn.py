"""A recurrent language model that attends over its own past outputs."""

import flax.linen as nn
import jax.numpy as jnp
from jax.nn.initializers import Initializer

from lmjax.errors import UserError
from lmjax.mixers.past_attention import PastAttention, head_width, memory_width
from lmjax.models.contract import Carry
from lmjax.models.rnn import RecurrentModel


class AttentionRecurrentModel(RecurrentModel):
    """A `RecurrentModel` whose softmax reads its output joined to what its last `span` ones hold.

    Daniluk et al. (2017), section 2. The carry holds those outputs as well. Raises UserError for an
    unknown score, a span below 1, or a width that key_value_predict cannot split.
    """

    score: str
    span: int

    def __post_init__(self):
        if self.span < 1:
            raise UserError(f"a span of {self.span} past outputs; model.span is at least 1")
        super().__post_init__()

    @property
    def output_width(self) -> int:
        return head_width(self.score, self.width)

    def initial_carry(self, batch_size: int, max_length: int) -> Carry:
        carry = super().initial_carry(batch_size, max_length)
        memory_BSM = jnp.zeros((batch_size, self.span, memory_width(self.score, self.width)))
        return {**carry, "states": (*carry["states"], memory_BSM)}

    def _make_mixers(self, initializer: Initializer) -> list[nn.Module]:
        attention = PastAttention(self.score, self.span, initializer)
        return [*super()._make_mixers(initializer), attention]
