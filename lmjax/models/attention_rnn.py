"""A recurrent language model that attends over its own past outputs."""

from jax.nn.initializers import Initializer

from lmjax.errors import UserError
from lmjax.mixers.contract import Mixer
from lmjax.mixers.past_attention import PastAttention, head_width
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

    def _make_mixers(self, initializer: Initializer, **parent: None) -> list[Mixer]:
        attention = PastAttention(
            width=self.width, score=self.score, span=self.span, initializer=initializer, **parent
        )
        return [*super()._make_mixers(initializer, **parent), attention]
