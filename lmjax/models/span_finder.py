"""A head that points at the tokens of a text between which an answer stands."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from lmjax.data.span_tokenizer import NOWHERE
from lmjax.errors import UserError
from lmjax.models.on_backbone import OnBackbone
from lmjax.nn.dense import Dense
from lmjax.nn.dropout import Dropout
from lmjax.nn.softmax import HIDDEN

Carry = tuple[jax.Array, jax.Array]  # `logits_B2V` of both ends, and how many are told, `told_B`


class SpanFinder(OnBackbone):
    """Each token of a text has two scores: that the answer begins with it, and that it ends there.

    They are linear in its vector (Devlin et al. 2019, section 4.2). The text is the second one of a
    pair, of which the first asks; without a second one it is all of the source. That the answer
    stands nowhere in it has the score 0. Targets are the two places, counted from 1; the
    vocabulary are those of the longest source. Raises UserError for a backbone that does not read a
    place at which it tells, and as `OnBackbone`.
    """

    dropout: float
    initialization: float

    finds_spans = True

    def __post_init__(self):
        super().__post_init__()
        if self.backbone.reads == "each_side":
            raise UserError(
                "model.backbone tells each place from the others alone, and an answer is found by "
                "its own tokens; take a bert, an rnn or a transformer"
            )

    def setup(self):
        normal = nn.initializers.normal(self.initialization)
        self.drop = Dropout(self.dropout)
        self.place_head = Dense(2, ("hidden", "classes"), True, normal, wide_output=True)

    def initial_carry(
        self, batch_size: int, max_length: int, *, source_BS=None, source_weights_BS=None
    ) -> Carry:
        logits_B2V = self._point(batch_size, source_BS, source_weights_BS, deterministic=True)
        return logits_B2V, jnp.zeros(batch_size, jnp.int32)

    def __call__(
        self,
        tokens_BT: jax.Array,
        carry: Carry | None = None,
        *,
        source_BS: jax.Array | None = None,
        source_weights_BS: jax.Array | None = None,
        deterministic: bool = True,
    ) -> tuple[jax.Array, Carry | None]:
        """`logits_BTV`: where the answer begins at the first place of a target, then where it ends.

        They don't depend on the targets: the two ends are told apart.
        """
        rows, length = tokens_BT.shape
        if carry is None:
            given = rows, source_BS, source_weights_BS, deterministic
            logits_B2V, told_B = self._point(*given), jnp.zeros(rows, jnp.int32)
        else:
            logits_B2V, told_B = carry
        which_BT = jnp.minimum(told_B[:, None] + jnp.arange(length)[None], 1)
        logits_BTV = jnp.take_along_axis(logits_B2V, which_BT[..., None], axis=1)
        return logits_BTV, None if carry is None else (logits_B2V, told_B + length)

    def _point(self, rows: int, source_BS, source_weights_BS, deterministic: bool) -> jax.Array:
        """`logits_B2V`, of places that are no tokens of the text too low to count."""
        encoded = self.encode(rows, source_BS, source_weights_BS, deterministic)
        x_BSD = encoded.hidden_BSD[:, self.added_tokens :]
        is_pair_B1 = encoded.of_part(1).any(axis=1, keepdims=True)
        is_text_BS = jnp.where(is_pair_B1, encoded.of_part(1), encoded.of_part(0))
        is_text_BS = is_text_BS[:, self.added_tokens :]
        if self.separator_id is not None and source_BS is not None:
            is_text_BS &= source_BS != self.separator_id
        scores_BS2 = self.place_head(self.drop(x_BSD, deterministic=deterministic))
        scores_BS2 = jnp.where(is_text_BS[..., None], scores_BS2, HIDDEN)
        more = self.vocabulary_size - NOWHERE - 1 - scores_BS2.shape[1]  # less: padding is cut off
        around = ((0, 0), (NOWHERE + 1, max(more, 0)), (0, 0))
        logits_BV2 = jnp.pad(scores_BS2, around, constant_values=HIDDEN)
        return logits_BV2.at[:, NOWHERE].set(0.0)[:, : self.vocabulary_size].swapaxes(1, 2)
