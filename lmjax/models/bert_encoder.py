"""The encoder of BERT: embeddings of tokens, places and texts, and layers of attention."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from lmjax.errors import UserError, nearest
from lmjax.mixers.attention import width_of_head
from lmjax.mixers.bidirectional_attention import BidirectionalAttention
from lmjax.models.stack import Stack
from lmjax.nn.dense import Dense
from lmjax.nn.dropout import Dropout
from lmjax.nn.embeddings import TokenEmbedding
from lmjax.nn.feed_forward import FEED_FORWARDS
from lmjax.nn.norms import LayerNorm
from lmjax.nn.positions import LearnedPosition
from lmjax.nn.precision import DTYPES, in_dtype
from lmjax.nn.segments import derive_positions


class BertEncoder(nn.Module):
    """Devlin et al. 2019, section 3: every token sees all of its segment.

    `token_types` tell texts of one row apart. Raises UserError for a width that the heads don't
    divide, an unknown type, and rows that are longer than `context_length`.
    """

    vocabulary_size: int
    layers: int
    width: int
    heads: int
    feed_forward_width: int
    context_length: int
    token_types: int
    norm_epsilon: float
    dropout: float
    initialization: float
    dtype: str
    remat: str
    scan_layers: bool

    def __post_init__(self):
        super().__post_init__()
        if self.layers < 1 or self.token_types < 1:
            raise UserError(
                f"{self.layers} layers and {self.token_types} types of tokens; model.layers and "
                "model.token_types are at least 1"
            )
        if self.dtype not in DTYPES:
            raise UserError(f"unknown model.dtype {self.dtype!r}: {nearest(self.dtype, DTYPES)}")
        width_of_head(self.width, self.heads, 0)
        self._make_stack(parent=None)

    def setup(self):
        self.embedding = TokenEmbedding(self.vocabulary_size, self.width, self._normal)
        self.position_embedding = LearnedPosition(self.context_length, self.width, self._normal)
        self.token_type_embedding = TokenEmbedding(
            self.token_types, self.width, self._normal, axis="token_types"
        )
        self.embedding_norm = self._make_norm()
        self.drop = Dropout(self.dropout)
        self.stack = self._make_stack()
        nn.share_scope(self, self.stack)

    @property
    def _normal(self):
        return nn.initializers.normal(self.initialization)

    @property
    def _make_norm(self):
        return partial(LayerNorm, bias=True, epsilon=self.norm_epsilon)

    def _make_stack(self, **parent: None) -> Stack:
        drawn = dict(bias=True, initializer=self._normal, output_initializer=self._normal)
        return Stack(
            layers=self.layers,
            mixers=(
                partial(
                    BidirectionalAttention,
                    width=self.width,
                    heads=self.heads,
                    dropout=self.dropout,
                    **drawn,
                ),
            ),
            norm=self._make_norm,
            feed_forwards=(
                partial(
                    FEED_FORWARDS["gelu_exact"],
                    inner_width=self.feed_forward_width or 4 * self.width,
                    **drawn,
                ),
            ),
            dropout=self.dropout,
            remat=self.remat,
            scan=self.scan_layers,
            norm_order="post",
            **parent,
        )

    def __call__(
        self,
        tokens_BT: jax.Array,
        *,
        segment_ids_BT: jax.Array | None = None,
        positions_BT: jax.Array | None = None,
        token_types_BT: jax.Array | None = None,
        deterministic: bool = True,
    ) -> jax.Array:
        """`hidden_BTD`, of each token after all layers; types are 0 where none are given."""
        length = tokens_BT.shape[1]
        if length > self.context_length:
            raise UserError(
                f"{length} tokens are more than model.context_length {self.context_length}; "
                "give a longer context or shorter rows"
            )
        if positions_BT is None:
            positions_BT = derive_positions(length, None, segment_ids_BT)
        if token_types_BT is None:
            token_types_BT = jnp.zeros((1, length), jnp.int32)
        x_BTD = self.embedding(tokens_BT) + self.position_embedding(positions_BT)
        x_BTD = self.embedding_norm(x_BTD + self.token_type_embedding(token_types_BT))
        x_BTD = self.drop(in_dtype(x_BTD, self.dtype), deterministic=deterministic)
        context = positions_BT, segment_ids_BT, deterministic
        return self.stack(x_BTD, (None,) * self.layers, *context)[0]


class Pooler(nn.Module):
    """The tanh of a dense layer of the first token's vector."""

    initialization: float

    @nn.compact
    def __call__(self, hidden_BTD: jax.Array) -> jax.Array:
        """`pooled_BD`."""
        normal, width = nn.initializers.normal(self.initialization), hidden_BTD.shape[-1]
        dense = Dense(width, ("embed", "hidden"), True, normal, name="dense")
        return jnp.tanh(dense(hidden_BTD[:, 0]))


ENCODER_FIELDS = tuple(
    name for name in BertEncoder.__dataclass_fields__ if name not in ("parent", "name")
)
