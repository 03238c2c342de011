"""The decoder-only Transformer of GPT-2 (Radford et al. 2019); parts and mixers go by name."""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
from flax.core import freeze

from lmjax.config import MODELS
from lmjax.errors import UserError, nearest
from lmjax.mixers.convolved import ConvolvedMixer
from lmjax.mixers.registry import mixer_class, mixer_maker
from lmjax.models.contract import LanguageModel, at_places
from lmjax.models.stack import Stack
from lmjax.nn.dropout import Dropout
from lmjax.nn.embeddings import TokenEmbedding
from lmjax.nn.feed_forward_registry import feed_forward_maker
from lmjax.nn.norms import NORMS
from lmjax.nn.output_layers import OutputLayer
from lmjax.nn.output_registry import output_maker
from lmjax.nn.positions import OF_SCORES, POSITIONS, NoPosition
from lmjax.nn.precision import DTYPES, in_dtype
from lmjax.nn.segments import segment_starts

DEFAULTS = MODELS["transformer"]
# By their names; positions are what is added to embeddings.
PARTS = {
    "norm": NORMS,
    "position": {**POSITIONS, **dict.fromkeys(OF_SCORES, NoPosition)},
    "dtype": DTYPES,
}


@flax.struct.dataclass
class TransformerCarry:
    """What each layer remembers, and where each row stands."""

    layers: tuple[Any, ...]
    position_B: jax.Array  # int32, of the next token if it continues the segment
    segment_id_B: jax.Array  # int32


class Transformer(LanguageModel):
    """Layers of a mixer and a feed-forward network each, attention and pre-norm unless said so.

    The mixers of `pattern` follow each other, over and over; `mixers` are their options by name.
    Each has one of `feed_forwards` where these are given, all have `feed_forward` otherwise.

    Weights are drawn as GPT-2's: normal with the deviation `initialization`, which is divided by
    sqrt(2 L) where a layer adds to the residual stream. `dtype` is that of activations;
    parameters, norms, softmaxes, carries and logits are float32.

    Where positions end or a mixer keeps all tokens, logits are NaN for a token that stands beyond
    `context_length` or finds no free slot in the carry: never a number that a shorter context would
    have given.

    `output_options` are those of the output layer.

    Raises UserError for an unknown part, mixer or option, more mixers than layers, another number
    of feed-forward networks than of mixers, a width that the heads don't divide, and rows that are
    longer than the context.
    """

    layers: int = DEFAULTS["layers"]
    width: int = DEFAULTS["width"]
    heads: int = DEFAULTS["heads"]
    feed_forward_width: int = DEFAULTS["feed_forward_width"]
    context_length: int = DEFAULTS["context_length"]
    norm: str = DEFAULTS["norm"]
    norm_epsilon: float = DEFAULTS["norm_epsilon"]
    norm_order: str = DEFAULTS["norm_order"]
    position: str = DEFAULTS["position"]
    feed_forward: str = DEFAULTS["feed_forward"]
    feed_forwards: tuple[str, ...] = DEFAULTS["feed_forwards"]
    feed_forward_options: Mapping[str, Mapping[str, Any]] = freeze(DEFAULTS["feed_forward_options"])
    pattern: tuple[str, ...] = DEFAULTS["pattern"]
    short_convolution: int = DEFAULTS["short_convolution"]
    mixers: Mapping[str, Mapping[str, Any]] = freeze(DEFAULTS["mixers"])
    bias: bool = DEFAULTS["bias"]
    dropout: float = DEFAULTS["dropout"]
    scaled_embedding: bool = DEFAULTS["scaled_embedding"]
    tied: bool = DEFAULTS["tied"]
    output: str = DEFAULTS["output"]
    output_options: Mapping[str, Any] = freeze(DEFAULTS["output_options"])
    logits_cap: float = DEFAULTS["logits_cap"]
    initialization: float = DEFAULTS["initialization"]
    dtype: str = DEFAULTS["dtype"]
    remat: str = DEFAULTS["remat"]
    scan_layers: bool = DEFAULTS["scan_layers"]

    takes_places = True
    own_mixers = MappingProxyType({})  # name -> class, where a subclass brings mixers of its own

    def __post_init__(self):
        for field in ("mixers", "feed_forward_options"):
            options = {name: dict(options) for name, options in getattr(self, field).items()}
            setattr(self, field, freeze(options))
        self.output_options = freeze(dict(self.output_options))
        self.pattern, self.feed_forwards = tuple(self.pattern), tuple(self.feed_forwards)
        super().__post_init__()
        if self.layers < 1:
            raise UserError(f"model.layers is {self.layers}; it is at least 1")
        if len(self.pattern) > self.layers:
            raise UserError(
                f"model.pattern names {len(self.pattern)} mixers for {self.layers} layers; give as "
                "many layers, or a shorter pattern"
            )
        for part, choices in PARTS.items():
            name = getattr(self, part)
            if name not in choices:
                raise UserError(f"unknown model.{part} {name!r}: {nearest(name, choices)}")
        kinds = [mixer_class(name, self.own_mixers) for name in self.pattern]
        if self.position in OF_SCORES and not any(hasattr(kind, "position") for kind in kinds):
            raise UserError(
                f"model.position {self.position!r} is of attention's scores, and no mixer of "
                f"model.pattern takes it; give one of {', '.join(POSITIONS)}"
            )
        if len(self.feed_forwards) not in (0, len(self.pattern)):
            raise UserError(
                f"model.feed_forwards names {len(self.feed_forwards)} feed-forward networks for "
                f"the {len(self.pattern)} mixers of model.pattern; give one for each, or none and "
                "model.feed_forward for all"
            )
        self._check_options("mixers", "model.pattern", self.pattern)
        used = "model.feed_forwards" if self.feed_forwards else "model.feed_forward"
        self._check_options("feed_forward_options", used, self._feed_forwards)
        self._make_stack(parent=None)
        self._make_output(parent=None)

    def setup(self):
        self.stack = self._make_stack()
        nn.share_scope(self, self.stack)
        normal = nn.initializers.normal(self.initialization)
        self.embedding = TokenEmbedding(self.vocabulary_size, self.width, normal)
        make_position = PARTS["position"][self.position]
        self.position_embedding = make_position(self.context_length, self.width, normal)
        self.drop = Dropout(self.dropout)
        if self.norm_order != "post":
            self.final_norm = self._make_norm()
        self.head = self._make_output()

    def _make_stack(self, **parent: None) -> Stack:
        normal = nn.initializers.normal(self.initialization)
        residual = nn.initializers.normal(self.initialization / (2 * self.layers) ** 0.5)
        given = dict(
            layers=self.layers,
            width=self.width,
            heads=self.heads,
            bias=self.bias,
            dropout=self.dropout,
            norm_epsilon=self.norm_epsilon,
            position=self.position if self.position in OF_SCORES else "none",
            context_length=self.context_length,
            initializer=normal,
            output_initializer=residual,
        )
        inner = dict(inner_width=self.feed_forward_width or 4 * self.width)
        mixers = [
            mixer_maker(name, self.mixers.get(name, {}), given, self.own_mixers)
            for name in self.pattern
        ]
        if self.short_convolution:
            sizes = self.width, self.short_convolution, self.bias
            mixers = [partial(ConvolvedMixer, make, *sizes) for make in mixers]
        return Stack(
            layers=self.layers,
            mixers=tuple(mixers),
            norm=self._make_norm,
            feed_forwards=tuple(
                feed_forward_maker(name, self.feed_forward_options.get(name, {}), given | inner)
                for name in self._feed_forwards
            ),
            dropout=self.dropout,
            remat=self.remat,
            scan=self.scan_layers,
            norm_order=self.norm_order,
            **parent,
        )

    def _make_output(self, **parent: None) -> OutputLayer:
        make = output_maker(
            self.output,
            self.output_options,
            vocabulary_size=self.vocabulary_size,
            width=self.width,
            table_width=self.width if self.tied else 0,
            initializer=nn.initializers.normal(self.initialization),
            logits_cap=self.logits_cap,
        )
        return make(**parent)

    @property
    def _feed_forwards(self) -> tuple[str, ...]:
        """The name of one for each mixer of the pattern."""
        return self.feed_forwards or (self.feed_forward,) * len(self.pattern)

    @property
    def _make_norm(self) -> Callable[..., nn.Module]:
        return partial(NORMS[self.norm], bias=self.bias, epsilon=self.norm_epsilon)

    def _check_options(self, field: str, where: str, names: tuple[str, ...]) -> None:
        """That options are of what is there."""
        for name in getattr(self, field):
            if name not in names:
                raise UserError(
                    f"model.{field} has options of {name!r}, which {where} does not name; "
                    f"{nearest(name, names)}"
                )

    @property
    def longest_context(self) -> int | None:
        """`context_length`; None where neither positions nor mixers set a limit."""
        endless = (
            PARTS["position"][self.position].is_endless and self._make_stack(parent=None).is_endless
        )
        return None if endless else self.context_length

    @property
    def active_shares(self) -> Mapping[str, float]:
        return self._make_stack(parent=None).active_shares

    def initial_carry(self, batch_size: int, max_length: int) -> TransformerCarry:
        """Raises UserError for a `max_length` beyond the longest context."""
        self._check_length(max_length)
        carries = self._make_stack(parent=None).initial_carries(batch_size, max_length)
        zeros_B = jnp.zeros(batch_size, jnp.int32)
        return TransformerCarry(carries, zeros_B, zeros_B)

    def __call__(
        self,
        tokens_BT: jax.Array,
        carry: TransformerCarry | None = None,
        *,
        segment_ids_BT: jax.Array | None = None,
        positions_BT: jax.Array | None = None,
        places_BP: jax.Array | None = None,
        deterministic: bool = True,
    ) -> tuple[jax.Array, TransformerCarry | None]:
        context = segment_ids_BT, positions_BT, deterministic
        x_BTD, within_BT1, carry = self._read(tokens_BT, carry, *context, places_BP)
        logits_BTV = self.head.logits(x_BTD, self._table(), deterministic)
        return _or_nan(logits_BTV, within_BT1), carry

    def log_probs(
        self,
        tokens_BT,
        targets_BT,
        carry=None,
        *,
        segment_ids_BT=None,
        positions_BT=None,
        deterministic=True,
    ):
        context = segment_ids_BT, positions_BT, deterministic
        x_BTD, within_BT1, carry = self._read(tokens_BT, carry, *context)
        log_probs_BT = self.head.log_probs(x_BTD, targets_BT, self._table(), deterministic)
        return _or_nan(log_probs_BT[..., None], within_BT1)[..., 0], carry

    def hidden_states(
        self,
        tokens_BT,
        carry=None,
        *,
        segment_ids_BT=None,
        positions_BT=None,
        deterministic=True,
    ):
        context = segment_ids_BT, positions_BT, deterministic
        x_BTD, within_BT1, carry = self._read(tokens_BT, carry, *context)
        return _or_nan(x_BTD, within_BT1), carry

    def output_log_probs(self, hidden_BTD, targets_BT):
        return self.head.log_probs(hidden_BTD, targets_BT, self._table())

    def _read(
        self,
        tokens_BT: jax.Array,
        carry: TransformerCarry | None,
        segment_ids_BT: jax.Array | None,
        positions_BT: jax.Array | None,
        deterministic: bool,
        places_BP: jax.Array | None = None,
    ) -> tuple[jax.Array, jax.Array | None, TransformerCarry | None]:
        """What the output layer reads; whether it is within the context, or None; and the carry."""
        fits = carry is None and segment_ids_BT is None and positions_BT is None
        if fits:
            self._check_length(tokens_BT.shape[1])
        if positions_BT is None:
            positions_BT = derive_positions(tokens_BT.shape[1], carry, segment_ids_BT)
        x_BTD = self.embedding(tokens_BT)
        if self.scaled_embedding:
            x_BTD *= self.width**0.5
        x_BTD += self.position_embedding(positions_BT)
        x_BTD = self.drop(in_dtype(x_BTD, self.dtype), deterministic=deterministic)
        layers = (None,) * self.layers if carry is None else carry.layers
        x_BTD, layers = self.stack(x_BTD, layers, positions_BT, segment_ids_BT, deterministic)
        x_BTD = at_places(x_BTD, places_BP)
        if self.norm_order != "post":
            x_BTD = self.final_norm(x_BTD)
        within_BT1 = None
        if not fits and self.longest_context is not None:
            within_BT = jnp.broadcast_to(positions_BT < self.context_length, tokens_BT.shape)
            within_BT1 = at_places(within_BT[..., None], places_BP)
        if carry is not None:
            position_B = jnp.broadcast_to(positions_BT[:, -1] + 1, carry.position_B.shape)
            segment_id_B = carry.segment_id_B
            if segment_ids_BT is not None:
                segment_id_B = segment_ids_BT[:, -1]
            carry = TransformerCarry(layers, position_B, segment_id_B)
        return x_BTD, within_BT1, carry

    def _table(self) -> jax.Array | None:
        return self.embedding.table_VD if self.tied else None

    def _check_length(self, length: int) -> None:
        if self.longest_context is not None and length > self.longest_context:
            raise UserError(
                f"{length} tokens are more than model.context_length {self.context_length}; "
                "give a longer context or shorter rows"
            )


def _or_nan(found_BTD: jax.Array, within_BT1: jax.Array | None) -> jax.Array:
    return found_BTD if within_BT1 is None else jnp.where(within_BT1, found_BTD, jnp.nan)


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
