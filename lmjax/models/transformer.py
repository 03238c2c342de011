"""The decoder-only Transformer of GPT-2 (Radford et al. 2019), its parts chosen by name."""

from collections.abc import Callable, Mapping
from functools import partial

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp

from lmjax.errors import UserError, nearest
from lmjax.mixers.attention import ATTENTIONS, KeyValueCache, empty_cache
from lmjax.models.contract import LanguageModel
from lmjax.nn.dense import Dense
from lmjax.nn.embeddings import TokenEmbedding
from lmjax.nn.feed_forward import FEED_FORWARDS
from lmjax.nn.norms import NORMS
from lmjax.nn.positions import POSITIONS
from lmjax.nn.segments import segment_starts

PARTS: dict[str, Mapping[str, Callable[..., nn.Module]]] = {
    "norm": NORMS,
    "position": POSITIONS,
    "feed_forward": FEED_FORWARDS,
    "attention": ATTENTIONS,
}


@flax.struct.dataclass
class TransformerCarry:
    """What each layer remembers, and where each row stands."""

    caches: tuple[KeyValueCache, ...]
    position_B: jax.Array  # int32, of the next token if it continues the segment
    segment_id_B: jax.Array  # int32


class Block(nn.Module):
    """`x + mixer(norm(x))`, then `x + feed_forward(norm(x))`, with dropout on what is added."""

    norm: Callable[..., nn.Module]
    mixer: Callable[..., nn.Module]
    feed_forward: Callable[..., nn.Module]
    dropout: float

    @nn.compact
    def __call__(self, x_BTD, carry, positions_BT, segment_ids_BT, *, deterministic):
        """`x_BTD, carry` after the layer."""
        drop = nn.Dropout(self.dropout, deterministic=deterministic)
        y_BTD, carry = self.mixer(name="mixer")(
            self.norm(name="mixer_norm")(x_BTD),
            carry,
            positions_BT,
            segment_ids_BT,
            deterministic=deterministic,
        )
        x_BTD += drop(y_BTD)
        y_BTD = self.feed_forward(name="feed_forward")(self.norm(name="feed_forward_norm")(x_BTD))
        return x_BTD + drop(y_BTD), carry


class Transformer(LanguageModel):
    """Pre-norm layers of attention and feed-forward over learned positions.

    Weights are drawn as GPT-2's: normal with the deviation `initialization`, which is divided by
    sqrt(2 L) where a layer adds to the residual stream. Logits are NaN for a token that stands
    beyond `context_length` or finds no free slot in the carry: never a number that a shorter
    context would have given.

    Raises UserError for an unknown part, a width that the heads don't divide, and rows that are
    longer than the context.
    """

    layers: int
    width: int
    heads: int
    feed_forward_width: int
    context_length: int
    norm: str
    position: str
    feed_forward: str
    attention: str
    bias: bool
    dropout: float
    tied: bool
    initialization: float

    def __post_init__(self):
        super().__post_init__()
        for part, choices in PARTS.items():
            name = getattr(self, part)
            if name not in choices:
                raise UserError(f"unknown model.{part} {name!r}: {nearest(name, choices)}")
        if self.width % self.heads:
            raise UserError(
                f"model.width {self.width} is not a multiple of model.heads {self.heads}; "
                "change one of them"
            )

    def setup(self):
        normal = nn.initializers.normal(self.initialization)
        residual = nn.initializers.normal(self.initialization / (2 * self.layers) ** 0.5)
        norm = partial(NORMS[self.norm], bias=self.bias)
        mixer = partial(
            ATTENTIONS[self.attention],
            heads=self.heads,
            bias=self.bias,
            dropout=self.dropout,
            initializer=normal,
            output_initializer=residual,
        )
        feed_forward = partial(
            FEED_FORWARDS[self.feed_forward],
            inner_width=self.feed_forward_width or 4 * self.width,
            bias=self.bias,
            initializer=normal,
            output_initializer=residual,
        )
        self.embedding = TokenEmbedding(self.vocabulary_size, self.width, normal)
        self.position_embedding = POSITIONS[self.position](self.context_length, self.width, normal)
        self.drop = nn.Dropout(self.dropout)
        self.blocks = [Block(norm, mixer, feed_forward, self.dropout) for _ in range(self.layers)]
        self.final_norm = norm()
        if not self.tied:
            self.head = Dense(self.vocabulary_size, ("embed", "vocab"), initializer=normal)

    @property
    def longest_context(self) -> int:
        """`context_length`."""
        return self.context_length

    def initial_carry(self, batch_size: int, max_length: int) -> TransformerCarry:
        """Empty caches of `max_length` tokens; raises UserError beyond the context."""
        self._check_length(max_length)
        size = batch_size, max_length, self.heads, self.width // self.heads
        zeros_B = jnp.zeros(batch_size, jnp.int32)
        return TransformerCarry(
            tuple(empty_cache(*size) for _ in range(self.layers)), zeros_B, zeros_B
        )

    def __call__(
        self,
        tokens_BT: jax.Array,
        carry: TransformerCarry | None = None,
        *,
        segment_ids_BT: jax.Array | None = None,
        positions_BT: jax.Array | None = None,
        deterministic: bool = True,
    ) -> tuple[jax.Array, TransformerCarry | None]:
        fits = carry is None and segment_ids_BT is None and positions_BT is None
        if fits:
            self._check_length(tokens_BT.shape[1])
        if positions_BT is None:
            positions_BT = derive_positions(tokens_BT.shape[1], carry, segment_ids_BT)
        x_BTD = self.embedding(tokens_BT) + self.position_embedding(positions_BT)
        x_BTD = self.drop(x_BTD, deterministic=deterministic)
        caches = []
        for index, block in enumerate(self.blocks):
            cache = None if carry is None else carry.caches[index]
            x_BTD, cache = block(
                x_BTD, cache, positions_BT, segment_ids_BT, deterministic=deterministic
            )
            caches.append(cache)
        x_BTD = self.final_norm(x_BTD)
        logits_BTV = self.embedding.attend(x_BTD) if self.tied else self.head(x_BTD)
        if not fits:
            within_BT1 = (positions_BT < self.context_length)[..., None]
            logits_BTV = jnp.where(within_BT1, logits_BTV, jnp.nan)
        if carry is not None:
            position_B = jnp.broadcast_to(positions_BT[:, -1] + 1, carry.position_B.shape)
            segment_id_B = carry.segment_id_B
            if segment_ids_BT is not None:
                segment_id_B = segment_ids_BT[:, -1]
            carry = TransformerCarry(tuple(caches), position_B, segment_id_B)
        return logits_BTV, carry

    def _check_length(self, length: int) -> None:
        if length > self.context_length:
            raise UserError(
                f"{length} tokens are more than model.context_length {self.context_length}; "
                "give a longer context or shorter rows"
            )


def derive_positions(
    length: int, carry: TransformerCarry | None, segment_ids_BT: jax.Array | None
) -> jax.Array:
    """`positions_BT`: tokens since the segment began; leads with 1 where all rows agree."""
    time_BT = jnp.arange(length)[None]
    if carry is not None:
        time_BT += carry.position_B[:, None]
    if segment_ids_BT is None:
        return time_BT
    before_B = None if carry is None else (carry.segment_id_B, jnp.zeros_like(carry.position_B))
    return time_BT - segment_starts(time_BT, segment_ids_BT, before_B)
