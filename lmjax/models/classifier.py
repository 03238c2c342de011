"""BERT's encoder and a softmax over labels (Devlin et al. 2019, section 4.1)."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from lmjax.errors import UserError, nearest
from lmjax.mixers.bidirectional_attention import padding_apart
from lmjax.models.bert_encoder import ENCODER_FIELDS, BertEncoder, Pooler
from lmjax.models.conditional import ConditionalModel, or_empty
from lmjax.nn.dense import Dense
from lmjax.nn.dropout import Dropout

POOLINGS = ("mean", "first")


class Classifier(ConditionalModel):
    """The source is encoded as a whole, and what is pooled of it tells its label, one token.

    Where the tokenizer of the source has a class token, it is read before the source. Pooled is the
    `mean` over all tokens, or the `first`, through BERT's pooler. Raises UserError as the encoder
    does, for an unknown pooling, and for the first token where that is no class token.
    """

    layers: int
    width: int
    heads: int
    feed_forward_width: int
    context_length: int
    token_types: int
    norm_epsilon: float
    dropout: float
    pooling: str
    initialization: float
    dtype: str
    remat: str
    scan_layers: bool
    class_id: int | None

    @staticmethod
    def derived_fields(tokenizer: Any) -> dict[str, Any]:
        return {
            **ConditionalModel.derived_fields(tokenizer),
            "class_id": tokenizer.source.special_id("class"),
        }

    def __post_init__(self):
        super().__post_init__()
        if self.pooling not in POOLINGS:
            hint = nearest(self.pooling, POOLINGS)
            raise UserError(f"unknown model.pooling {self.pooling!r}: {hint}")
        if self.pooling == "first" and self.class_id is None:
            raise UserError(
                "model.pooling 'first' needs a class token before the source; set "
                "data.special_tokens=('class',) or model.pooling='mean'"
            )
        self._make_encoder(parent=None)

    @property
    def longest_context(self) -> int:
        """The most tokens of a source."""
        return self.context_length - (self.class_id is not None)

    def setup(self):
        self.encoder = self._make_encoder()
        normal = nn.initializers.normal(self.initialization)
        if self.pooling == "first":
            self.pooler = Pooler(self.initialization)
        self.drop = Dropout(self.dropout)
        axes = "hidden", "vocab"
        self.label_head = Dense(self.vocabulary_size, axes, True, normal, wide_output=True)

    def _make_encoder(self, **parent: None) -> BertEncoder:
        fields = {name: getattr(self, name) for name in ENCODER_FIELDS}
        return BertEncoder(**fields | {"vocabulary_size": self.source_vocabulary_size}, **parent)

    def initial_carry(
        self, batch_size: int, max_length: int, *, source_BS=None, source_weights_BS=None
    ) -> jax.Array:
        """`logits_BV` of the labels."""
        return self._labels(batch_size, source_BS, source_weights_BS, deterministic=True)

    def __call__(
        self,
        tokens_BT: jax.Array,
        carry: jax.Array | None = None,
        *,
        source_BS: jax.Array | None = None,
        source_weights_BS: jax.Array | None = None,
        deterministic: bool = True,
    ) -> tuple[jax.Array, jax.Array | None]:
        """`logits_BTV`, the same at each place: only the first of a target is a label."""
        rows, length = tokens_BT.shape
        logits_BV = carry
        if carry is None:
            logits_BV = self._labels(rows, source_BS, source_weights_BS, deterministic)
        return jnp.repeat(logits_BV[:, None], length, axis=1), carry

    def _labels(self, rows, source_BS, source_weights_BS, deterministic) -> jax.Array:
        source_BS, weights_BS = or_empty(rows, source_BS, source_weights_BS)
        if self.class_id is not None:
            source_BS = jnp.pad(source_BS, ((0, 0), (1, 0)), constant_values=self.class_id)
            weights_BS = jnp.pad(weights_BS, ((0, 0), (1, 0)), constant_values=1.0)
        hidden_BSD = self.encoder(
            source_BS, segment_ids_BT=padding_apart(weights_BS), deterministic=deterministic
        )
        if self.pooling == "first":
            pooled_BD = self.pooler(hidden_BSD)
        else:
            total_BD = (hidden_BSD * weights_BS[..., None]).sum(axis=1)
            pooled_BD = total_BD / jnp.maximum(weights_BS.sum(axis=1, keepdims=True), 1)
        return self.label_head(self.drop(pooled_BD, deterministic=deterministic))
