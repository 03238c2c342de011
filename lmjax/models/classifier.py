"""A head that tells a label, or a number, of a source or of a pair of sources."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from lmjax.data.number_tokenizer import NumberTokenizer
from lmjax.errors import UserError, nearest
from lmjax.models.bert_encoder import Pooler
from lmjax.models.on_backbone import Encoded, OnBackbone
from lmjax.nn.dense import Dense
from lmjax.nn.dropout import Dropout
from lmjax.nn.pooling import POOLINGS, AttentionPooling

ATTENTION = "attention"
SIAMESE = ("none", "concatenated", "cosine")
EPSILON = 1e-12  # of a squared norm, so that the cosine of zeros has a gradient


class Classifier(OnBackbone):
    """What is pooled of a source tells its label, one token; or, where targets are numbers, those.

    `first` is the class token's vector, through BERT's pooler (Devlin et al. 2019). The head is
    linear, behind a tanh layer of `head_width` if that is not 0. Where the texts of a pair are read
    apart, the head reads of their vectors u and v `concatenated` u, v, |u - v| and u v (Conneau et
    al. 2017; without a second text v is zeros), or there is no head but the `cosine` (Reimers and
    Gurevych 2019). A number counts from `lowest`, for an output of 0, to `highest`, for 1.

    Raises UserError for an unknown choice, one that the tokens or the targets have no place for,
    and as `OnBackbone`.
    """

    pooling: str
    head_width: int
    siamese: str
    lowest: float
    highest: float
    dropout: float
    initialization: float
    tells_numbers: bool

    @staticmethod
    def derived_fields(tokenizer: Any) -> dict[str, Any]:
        numbers = isinstance(tokenizer.target, NumberTokenizer)
        return {**OnBackbone.derived_fields(tokenizer), "tells_numbers": numbers}

    def __post_init__(self):
        super().__post_init__()
        for name, known in (("pooling", (*POOLINGS, ATTENTION)), ("siamese", SIAMESE)):
            if (value := getattr(self, name)) not in known:
                raise UserError(f"unknown model.{name} {value!r}: {nearest(value, known)}")
        reads, cosine = self.backbone.reads, self.siamese == "cosine"
        for wrong, message in (
            (
                self.pooling == "first" and self.class_id is None,
                "model.pooling 'first' needs a class token before the source; set "
                "data.special_tokens=('class',) or model.pooling='mean'",
            ),
            (
                self.pooling == "first" and reads == "past",
                "model.pooling 'first' takes what the first token has read, and model.backbone "
                "reads the past alone; set model.pooling='last'",
            ),
            (
                self.pooling == "last" and reads == "each_side",
                "model.pooling 'last' would leave the last token out, which model.backbone does "
                "not read at its own place; set model.pooling='mean'",
            ),
            (
                self.siamese != "none" and self.separator_id is None,
                f"model.siamese {self.siamese!r} needs a token between the two texts; set "
                "data.special_tokens=('separator',)",
            ),
            (
                cosine and not self.tells_numbers,
                "model.siamese 'cosine' tells a number and no label; set data.tokenizer='number' "
                "and objective.name='regression', or model.siamese='concatenated'",
            ),
            (
                cosine and self.head_width,
                "model.siamese 'cosine' has no head; set model.head_width=0",
            ),
            (
                not self.lowest < self.highest,
                f"model.lowest is {self.lowest} and model.highest {self.highest}; give a lower one "
                "and a higher one",
            ),
        ):
            if wrong:
                raise UserError(message)

    @property
    def added_tokens(self) -> int:
        texts = 1 if self.siamese == "none" else 2
        return texts * (self.class_id is not None)

    def setup(self):
        normal = nn.initializers.normal(self.initialization)
        if self.pooling == "first":
            self.pooler = Pooler(self.initialization)
        if self.pooling == ATTENTION:
            self.attention = AttentionPooling(normal)
        self.drop = Dropout(self.dropout)
        if self.head_width:
            self.hidden_head = Dense(self.head_width, ("embed", "hidden"), True, normal)
        if self.tells_numbers:
            self.number_head = Dense(1, ("hidden", "classes"), True, normal, wide_output=True)
        else:
            axes = "hidden", "vocab"
            self.label_head = Dense(self.vocabulary_size, axes, True, normal, wide_output=True)

    def initial_carry(
        self, batch_size: int, max_length: int, *, source_BS=None, source_weights_BS=None
    ) -> jax.Array:
        """`logits_BV` of the labels, or `numbers_B1`."""
        return self._tell(batch_size, source_BS, source_weights_BS, deterministic=True)

    def __call__(
        self,
        tokens_BT: jax.Array,
        carry: jax.Array | None = None,
        *,
        source_BS: jax.Array | None = None,
        source_weights_BS: jax.Array | None = None,
        deterministic: bool = True,
    ) -> tuple[jax.Array, jax.Array | None]:
        """`logits_BTV`, or `numbers_BT1`, the same at each place: a target is one token."""
        rows, length = tokens_BT.shape
        told_BV = carry
        if carry is None:
            told_BV = self._tell(rows, source_BS, source_weights_BS, deterministic)
        return jnp.repeat(told_BV[:, None], length, axis=1), carry

    def pooled(
        self,
        source_BS: jax.Array,
        source_weights_BS: jax.Array | None = None,
        deterministic: bool = True,
    ) -> tuple[jax.Array, ...]:
        """The vector of each source, `pooled_BD`; of a pair that is read apart, of both texts."""
        apart = self.siamese != "none"
        given = len(source_BS), source_BS, source_weights_BS, deterministic
        encoded = self.encode(*given, apart=apart)
        if apart:
            return tuple(self._pool(encoded, encoded.of_part(part)) for part in (0, 1))
        return (self._pool(encoded, encoded.is_token_BS),)

    def _pool(self, encoded: Encoded, is_of_text_BS: jax.Array) -> jax.Array:
        if self.pooling == ATTENTION:
            return self.attention(encoded.hidden_BSD, is_of_text_BS)
        pooled_BD = POOLINGS[self.pooling](encoded.hidden_BSD, is_of_text_BS)
        if self.pooling != "first":
            return pooled_BD
        # The pooler has a bias, and zeros stand for a text that there is not.
        return jnp.where(is_of_text_BS.any(axis=1)[:, None], self.pooler(pooled_BD[:, None]), 0.0)

    def _tell(self, rows, source_BS, source_weights_BS, deterministic) -> jax.Array:
        if source_BS is None:
            source_BS, source_weights_BS = jnp.zeros((2, rows, 1), jnp.int32)
        pooled = self.pooled(source_BS, source_weights_BS, deterministic)
        if self.siamese == "cosine":
            return self._numbers(cosine(*pooled)[:, None])
        x_BD = pooled[0]
        if self.siamese == "concatenated":
            u_BD, v_BD = pooled
            x_BD = jnp.concatenate([u_BD, v_BD, jnp.abs(u_BD - v_BD), u_BD * v_BD], axis=-1)
        x_BD = self.drop(x_BD, deterministic=deterministic)
        if self.head_width:
            x_BD = jnp.tanh(self.hidden_head(x_BD))
            x_BD = self.drop(x_BD, deterministic=deterministic)
        if self.tells_numbers:
            return self._numbers(self.number_head(x_BD))
        return self.label_head(x_BD)

    def _numbers(self, output_B1: jax.Array) -> jax.Array:
        return self.lowest + (self.highest - self.lowest) * output_B1


def cosine(u_BD: jax.Array, v_BD: jax.Array) -> jax.Array:
    """`cosine_B` of each row's two vectors; 0 where one is zeros."""
    norms_B = (jnp.sqrt(jnp.square(x_BD).sum(axis=-1) + EPSILON) for x_BD in (u_BD, v_BD))
    return (u_BD * v_BD).sum(axis=-1) / (next(norms_B) * next(norms_B))
