"""The decoder-only Transformer of GPT-2 (Radford et al. 2019); parts and mixers go by name."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
from flax.core import freeze

from lmjax.errors import UserError
from lmjax.model_defaults import MODELS
from lmjax.models.contract import LanguageModel, at_places
from lmjax.models.decoder_parts import PARTS, check_parts, make_stack, norm_maker
from lmjax.nn.dropout import Dropout
from lmjax.nn.embeddings import TokenEmbedding
from lmjax.nn.options import by_name, by_part
from lmjax.nn.output_layers import OutputLayer
from lmjax.nn.output_registry import output_maker
from lmjax.nn.precision import in_dtype
from lmjax.nn.segments import derive_positions

DEFAULTS = MODELS["transformer"]


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
    embedding_norm: bool = DEFAULTS["embedding_norm"]
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
            setattr(self, field, by_part(f"model.{field}", getattr(self, field)))
        self.output_options = by_name("model.output_options", self.output_options)
        self.pattern, self.feed_forwards = tuple(self.pattern), tuple(self.feed_forwards)
        super().__post_init__()
        check_parts(self)
        make_stack(self, parent=None)
        self._make_output(parent=None)

    def setup(self):
        self.stack = make_stack(self)
        nn.share_scope(self, self.stack)
        normal = nn.initializers.normal(self.initialization)
        self.embedding = TokenEmbedding(self.vocabulary_size, self.width, normal)
        make_position = PARTS["position"][self.position]
        self.position_embedding = make_position(self.context_length, self.width, normal)
        if self.embedding_norm:
            self.first_norm = norm_maker(self)()
        self.drop = Dropout(self.dropout)
        if self.norm_order != "post":
            self.final_norm = norm_maker(self)()
        self.head = self._make_output()

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
    def longest_context(self) -> int | None:
        """`context_length`; None where neither positions nor mixers set a limit."""
        endless = (
            PARTS["position"][self.position].is_endless and make_stack(self, parent=None).is_endless
        )
        return None if endless else self.context_length

    @property
    def active_shares(self) -> Mapping[str, float]:
        return make_stack(self, parent=None).active_shares

    def for_decoding(self, params: Any) -> tuple[LanguageModel, Any]:
        """Without a loop over layers, which would copy weights and memory of each at each token."""
        stack = make_stack(self, parent=None)
        if not stack.can_unroll:
            return self, params
        unrolled = {**params, "params": stack.unrolled(params["params"])}
        return self.clone(scan_layers=False, remat="none"), unrolled

    def initial_carry(self, batch_size: int, max_length: int) -> TransformerCarry:
        """Raises UserError for a `max_length` beyond the longest context."""
        self._check_length(max_length)
        carries = make_stack(self, parent=None).initial_carries(batch_size, max_length)
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
        if self.embedding_norm:
            x_BTD = self.first_norm(x_BTD)
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
