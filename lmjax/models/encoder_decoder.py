"""The encoder-decoder Transformer: that of 2017, its pre-norm form, T5; fields say which."""

from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer

from lmjax.errors import UserError, nearest
from lmjax.mixers.attention import Attention, width_of_head
from lmjax.mixers.bidirectional_attention import BidirectionalAttention, padding_apart
from lmjax.mixers.cross_attention import CrossAttention
from lmjax.models.conditional import ConditionalModel, or_empty
from lmjax.models.stack import Stack
from lmjax.nn.dense import Dense
from lmjax.nn.dropout import Dropout
from lmjax.nn.embeddings import TokenEmbedding
from lmjax.nn.feed_forward import FEED_FORWARDS
from lmjax.nn.norms import NORMS
from lmjax.nn.position_bias import RelativePosition
from lmjax.nn.positions import POSITIONS, NoPosition
from lmjax.nn.precision import DTYPES, in_dtype

RELATIVE = "relative"
PARTS = {
    "norm": NORMS,
    "position": {**POSITIONS, RELATIVE: NoPosition},  # what is added to embeddings
    "feed_forward": FEED_FORWARDS,
    "dtype": DTYPES,
}


@flax.struct.dataclass
class EncoderDecoderCarry:
    """For each layer of the decoder its cache and the source's keys and values."""

    layers: tuple[Any, ...]
    position_B: jax.Array  # int32, of the next token


class EncoderDecoder(ConditionalModel):
    """An encoder that reads all of the source, and a decoder that attends to it in every layer.

    Vaswani et al. (2017); Xiong et al. (2020) for the order of norms; Raffel et al. (2020), section
    2.1, for T5, whose positions are biases of the scores, shared by the layers of either side.
    Padding of the source stands behind it. The carry holds the decoder's cache of keys and values,
    and those of the source. `dtype` is that of activations; parameters, norms, softmaxes, carries
    and logits are float32.

    Raises UserError for an unknown part, a width that the heads don't divide, one table for two
    vocabularies, and for sources or rows that are longer than the context.
    """

    one_vocabulary: bool  # sources and targets have the same tokenizer
    layers: int
    decoder_layers: int
    width: int
    heads: int
    head_width: int
    feed_forward_width: int
    context_length: int
    norm: str
    norm_epsilon: float
    norm_order: str
    position: str
    position_buckets: int
    position_farthest: int
    scaled_scores: bool
    feed_forward: str
    bias: bool
    dropout: float
    shared_embedding: bool
    scaled_embedding: bool
    tied: bool
    scaled_logits: bool
    logits_bias: bool
    initialization: float
    dtype: str

    @staticmethod
    def derived_fields(tokenizer: Any) -> dict[str, Any]:
        one = tokenizer.source is tokenizer
        return {**ConditionalModel.derived_fields(tokenizer), "one_vocabulary": one}

    def __post_init__(self):
        super().__post_init__()
        if self.layers < 1 or self.decoder_layers < 0:
            raise UserError(
                f"model.layers is {self.layers}, model.decoder_layers {self.decoder_layers}; give "
                "at least 1 and 0"
            )
        for part, choices in PARTS.items():
            name = getattr(self, part)
            if name not in choices:
                raise UserError(f"unknown model.{part} {name!r}: {nearest(name, choices)}")
        width_of_head(self.width, self.heads, self.head_width)
        if self.shared_embedding and not self.one_vocabulary:
            raise UserError(
                "model.shared_embedding is one table for sources and targets, and "
                "data.source_tokenizer gives them a vocabulary each; set one of them to False or ''"
            )
        if self.scaled_logits and not self.tied:
            raise UserError(
                "model.scaled_logits makes up for large embeddings that are output weights, too; "
                "set it to False or model.tied=True"
            )
        if not 0 <= self.dropout < 1:
            raise UserError(f"model.dropout is {self.dropout}; it is at least 0 and below 1")
        self._make_stack(encodes=True, parent=None)
        if make := self._position_bias(encodes=True):
            make(parent=None)

    def setup(self):
        table = partial(TokenEmbedding, width=self.width, initializer=self._embedding_initializer)
        self.embedding = table(self.vocabulary_size)
        self.position_embedding = self._make_position()
        self.source_position_embedding = self._make_position()
        if not self.shared_embedding:
            self.source_embedding = table(self.source_vocabulary_size)
        self.encoder = self._make_stack(encodes=True)
        self.decoder = self._make_stack(encodes=False)
        if self.norm_order == "pre":
            self.encoder_norm, self.decoder_norm = self._make_norm(), self._make_norm()
        self.drop = Dropout(self.dropout)
        if not self.tied:
            axes = "embed", "vocab"
            self.head = Dense(
                self.vocabulary_size, axes, False, self._initializer, wide_output=True
            )
        if self.logits_bias:
            zeros = nn.with_logical_partitioning(nn.initializers.zeros, ("vocab",))
            self.logits_bias_V = self.param("logits_bias", zeros, (self.vocabulary_size,))

    @property
    def _initializer(self) -> Initializer:
        if self.initialization:
            return nn.initializers.normal(self.initialization)
        return nn.initializers.glorot_uniform()

    @property
    def _embedding_initializer(self) -> Initializer:
        """By default such that what is read of it, scaled as it may be, has deviation one."""
        is_scaled = self.scaled_embedding or (self.tied and not self.scaled_logits)
        return nn.initializers.normal(
            self.initialization or (self.width**-0.5 if is_scaled else 1.0)
        )

    def _make_norm(self) -> nn.Module:
        return NORMS[self.norm](bias=self.bias, epsilon=self.norm_epsilon)

    def _make_position(self) -> nn.Module:
        make = PARTS["position"][self.position]
        return make(self.context_length, self.width, self._embedding_initializer)

    def _make_stack(self, encodes: bool, **parent: None) -> Stack:
        drawn = dict(
            bias=self.bias, initializer=self._initializer, output_initializer=self._initializer
        )
        attention = dict(
            width=self.width,
            heads=self.heads,
            head_width=self.head_width,
            scaled=self.scaled_scores,
            dropout=self.dropout,
            **drawn,
        )
        return Stack(
            layers=self.layers if encodes else self.decoder_layers or self.layers,
            mixers=(partial(BidirectionalAttention if encodes else Attention, **attention),),
            norm=partial(NORMS[self.norm], bias=self.bias, epsilon=self.norm_epsilon),
            feed_forwards=(
                partial(
                    FEED_FORWARDS[self.feed_forward],
                    inner_width=self.feed_forward_width or 4 * self.width,
                    **drawn,
                ),
            ),
            dropout=self.dropout,
            remat="none",
            scan=False,
            norm_order=self.norm_order,
            make_source_attention=None if encodes else partial(CrossAttention, **attention),
            make_position_bias=self._position_bias(encodes),
            **parent,
        )

    def _position_bias(self, encodes: bool) -> Callable[..., RelativePosition] | None:
        if self.position != RELATIVE:
            return None
        return partial(
            RelativePosition,
            heads=self.heads,
            buckets=self.position_buckets,
            farthest=self.position_farthest,
            both_sides=encodes,
            initializer=self._initializer,
        )

    @property
    def longest_context(self) -> int:
        return self.context_length

    def initial_carry(
        self, batch_size, max_length, *, source_BS=None, source_weights_BS=None
    ) -> EncoderDecoderCarry:
        """Raises UserError for a `max_length` beyond the longest context."""
        self._check_length(max_length)
        memories = self._read_source(batch_size, source_BS, source_weights_BS, deterministic=True)
        caches = self._make_stack(encodes=False, parent=None).initial_carries(
            batch_size, max_length
        )
        return EncoderDecoderCarry(
            tuple(zip(caches, memories, strict=True)), jnp.zeros(batch_size, jnp.int32)
        )

    def __call__(
        self,
        tokens_BT: jax.Array,
        carry: EncoderDecoderCarry | None = None,
        *,
        source_BS: jax.Array | None = None,
        source_weights_BS: jax.Array | None = None,
        deterministic: bool = True,
    ) -> tuple[jax.Array, EncoderDecoderCarry | None]:
        rows, length = tokens_BT.shape
        positions_BT = jnp.arange(length)[None]
        if carry is None:
            self._check_length(length)
            memories = self._read_source(rows, source_BS, source_weights_BS, deterministic)
            layers = tuple((None, memory) for memory in memories)
        else:
            layers, positions_BT = carry.layers, carry.position_B[:, None] + positions_BT
        x_BTD = self._embedded(
            tokens_BT, positions_BT, self.embedding, self.position_embedding, deterministic
        )
        x_BTD, layers = self.decoder(x_BTD, layers, positions_BT, None, deterministic)
        logits_BTV = self._logits(self.decoder_norm(x_BTD) if self.norm_order == "pre" else x_BTD)
        if carry is None:
            return logits_BTV, None
        return logits_BTV, EncoderDecoderCarry(layers, carry.position_B + length)

    def alignments(self, tokens_BT, *, source_BS, source_weights_BS=None) -> jax.Array:
        """The mean over the heads of all layers."""
        source = dict(source_BS=source_BS, source_weights_BS=source_weights_BS)
        model, variables = self.unbind()
        _, sown = model.apply(variables, tokens_BT, **source, mutable=["intermediates"])
        weights_NBTS = jnp.concatenate(
            [jnp.moveaxis(leaf, 1, 0) for leaf in jax.tree.leaves(sown["intermediates"])]
        )
        return weights_NBTS.mean(axis=0)

    def _read_source(self, rows, source_BS, source_weights_BS, deterministic) -> tuple[Any, ...]:
        """The memory of it for each layer of the decoder."""
        source_BS, source_weights_BS = or_empty(rows, source_BS, source_weights_BS)
        self._check_length(source_BS.shape[1])
        positions_BS = jnp.arange(source_BS.shape[1])[None]
        x_BSD = self._embedded(
            source_BS,
            positions_BS,
            self.embedding if self.shared_embedding else self.source_embedding,
            self.source_position_embedding,
            deterministic,
        )
        x_BSD, _ = self.encoder(
            x_BSD,
            (None,) * self.layers,
            positions_BS,
            padding_apart(source_weights_BS),
            deterministic,
        )
        if self.norm_order == "pre":
            x_BSD = self.encoder_norm(x_BSD)
        return self.decoder.remember(x_BSD, source_weights_BS > 0)

    def _embedded(self, tokens_BT, positions_BT, tokens, positions, deterministic) -> jax.Array:
        x_BTD = tokens(tokens_BT)
        if self.scaled_embedding:
            x_BTD *= self.width**0.5
        x_BTD = in_dtype(x_BTD + positions(positions_BT), self.dtype)
        return self.drop(x_BTD, deterministic=deterministic)

    def _logits(self, x_BTD: jax.Array) -> jax.Array:
        if self.scaled_logits:
            x_BTD *= self.width**-0.5
        logits_BTV = self.embedding.attend(x_BTD) if self.tied else self.head(x_BTD)
        return logits_BTV + self.logits_bias_V[None, None] if self.logits_bias else logits_BTV

    def _check_length(self, length: int) -> None:
        if length > self.context_length:
            raise UserError(
                f"{length} tokens of a source or target are more than model.context_length "
                f"{self.context_length}; give a longer context or, in data.source_length and "
                "data.length, smaller limits"
            )
