"""Two recurrent language models, one of each direction (Peters et al. 2018)."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer

from lmjax.mixers.recurrent_layer import RecurrentLayer
from lmjax.models.contract import LanguageModel
from lmjax.models.recurrent_parts import check_layers
from lmjax.nn.dropout import Dropout
from lmjax.nn.embeddings import TokenEmbedding
from lmjax.nn.initializers import symmetric_uniform
from lmjax.nn.output_layers import OutputLayer
from lmjax.nn.output_registry import output_maker
from lmjax.nn.segments import segment_starts


class BidirectionalRecurrentModel(LanguageModel):
    """At each place, what a model says that has read all before it, and one that read all after it.

    Section 3.1: the two share embedding and softmax, and their log-probabilities are added up. The
    sum is of two statements about one token, so it is no log-probability of the text. No place
    reads its own token. Padding takes a segment id that no text has. Raises UserError for sizes and
    cells as the recurrent model does.
    """

    cell: str
    layers: int
    width: int  # of each direction
    embedding_width: int
    dropout: float
    initialization: float
    forget_bias: float

    reads = "each_side"

    def __post_init__(self):
        super().__post_init__()
        check_layers(self.cell, self.layers, self.width, self.dropout, self.forget_bias)

    def setup(self):
        initializer = symmetric_uniform(self.initialization or self.width**-0.5)
        width = self.embedding_width or self.width
        self.embedding = TokenEmbedding(self.vocabulary_size, width, initializer)
        ends = nn.with_logical_partitioning(initializer, (None, "embed"))
        self.ends_2E = self.param("text_ends", ends, (2, width))  # before a text, and after it

        def layers():
            return [
                RecurrentLayer(
                    width=self.width,
                    cell=self.cell,
                    initializer=initializer,
                    forget_bias=self.forget_bias,
                )
                for _ in range(self.layers)
            ]

        self.forward_layers, self.backward_layers = layers(), layers()
        self.drop = Dropout(self.dropout)
        self.output_layer = self._make_output(initializer)
        nn.share_scope(self, self.output_layer)

    def _make_output(self, initializer: Initializer) -> OutputLayer:
        make = output_maker(
            "softmax",
            {},
            vocabulary_size=self.vocabulary_size,
            width=self.width,
            table_width=0,
            initializer=initializer,
            bias=True,
            prefix="output_",
            one_pass=True,
        )
        return make()

    def initial_carry(self, batch_size: int, max_length: int) -> None:
        return None

    def hidden_BTD(self, tokens_BT: jax.Array, **context) -> jax.Array:
        """What has read all before a place, and beside it what has read all after it."""
        return jnp.concatenate(self._read(tokens_BT, **context), axis=-1)

    def each_direction(self, tokens_BT: jax.Array, **context) -> tuple[jax.Array, jax.Array]:
        """`logits_BTV` from the tokens before each place, and from those after it."""
        return tuple(map(self.output_layer.logits, self._read(tokens_BT, **context)))

    def __call__(self, tokens_BT, carry=None, **context) -> tuple[jax.Array, None]:
        """The sum of both directions' log-probabilities of every token, and None."""
        before_BTV, after_BTV = self.each_direction(tokens_BT, **context)
        return jax.nn.log_softmax(before_BTV) + jax.nn.log_softmax(after_BTV), None

    def log_probs(self, tokens_BT, targets_BT, carry=None, **context) -> tuple[jax.Array, None]:
        """The sum of both directions' log-probabilities of each target, and None."""
        read = self._read(tokens_BT, **context)
        return sum(self.output_layer.log_probs(x_BTD, targets_BT) for x_BTD in read), None

    def _read(
        self,
        tokens_BT: jax.Array,
        *,
        segment_ids_BT: jax.Array | None = None,
        positions_BT: jax.Array | None = None,
        deterministic: bool = True,
    ) -> tuple[jax.Array, jax.Array]:
        """`before_BTD, after_BTD`: the outputs of either direction, which have read so far."""
        if segment_ids_BT is None:
            segment_ids_BT = jnp.zeros_like(tokens_BT)
        x_BTE = self.embedding(tokens_BT)

        def read(x_BTE, segment_ids_BT, end_E, layers):
            index_BT = jnp.arange(x_BTE.shape[1])[None]
            begins_BT = segment_starts(index_BT, segment_ids_BT) == index_BT
            read_BTE = jnp.roll(x_BTE, 1, axis=1)
            x_BTD = jnp.where(begins_BT[..., None], end_E[None, None, :], read_BTE)
            for layer in layers:
                x_BTD = self.drop(x_BTD, deterministic=deterministic)
                x_BTD, _ = layer.read(x_BTD, layer.initial_carry(len(x_BTD), 0), begins_BT)
            return self.drop(x_BTD, deterministic=deterministic)

        before_BTD = read(x_BTE, segment_ids_BT, self.ends_2E[0], self.forward_layers)
        backwards = x_BTE[:, ::-1], segment_ids_BT[:, ::-1]
        after_BTD = read(*backwards, self.ends_2E[1], self.backward_layers)
        return before_BTD, after_BTD[:, ::-1]
