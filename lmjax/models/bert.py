"""BERT: hidden tokens from those on both sides of them (Devlin et al. 2019)."""

import flax.linen as nn
import jax

from lmjax.models.bert_encoder import ENCODER_FIELDS, BertEncoder, Pooler
from lmjax.models.contract import LanguageModel, at_places
from lmjax.nn.dense import Dense
from lmjax.nn.norms import LayerNorm


class OutputBias(nn.Module):
    """A number for each token, which there is only where logits are formed."""

    vocabulary_size: int

    def setup(self):
        zeros = nn.with_logical_partitioning(nn.initializers.zeros, ("vocab",))
        self.bias_V = self.param("output_bias", zeros, (self.vocabulary_size,))


class Bert(LanguageModel):
    """The encoder, and a head that tells the token at each place.

    The head is a dense layer with GELU and a norm, then the embedding's own vectors, with biases.
    Tokens see those of their own segment id alone, so padding takes one that no text has. With
    `next_sentence`, a pooler and another head tell whether a pair's second text follows the first.
    Activations are of `dtype`; parameters, norms, softmaxes and logits are float32. Raises
    UserError as the encoder does.
    """

    layers: int
    width: int
    heads: int
    feed_forward_width: int
    context_length: int
    token_types: int
    norm_epsilon: float
    dropout: float
    next_sentence: bool
    initialization: float
    dtype: str
    remat: str
    scan_layers: bool

    reads = "both"
    takes_places = True
    takes_token_types = True

    def __post_init__(self):
        super().__post_init__()
        self._make_encoder(parent=None)

    def setup(self):
        self.encoder = self._make_encoder()
        normal = nn.initializers.normal(self.initialization)
        self.head_dense = Dense(self.width, ("embed", "hidden"), True, normal)
        self.head_norm = LayerNorm(bias=True, epsilon=self.norm_epsilon)
        self.output = OutputBias(self.vocabulary_size)
        nn.share_scope(self, self.output)
        if self.next_sentence:
            self.pooler = Pooler(self.initialization)
            self.next_head = Dense(2, ("hidden", "classes"), True, normal, wide_output=True)

    def _make_encoder(self, **parent: None) -> BertEncoder:
        return BertEncoder(**{name: getattr(self, name) for name in ENCODER_FIELDS}, **parent)

    @property
    def longest_context(self) -> int:
        return self.context_length

    def initial_carry(self, batch_size: int, max_length: int) -> None:
        return None

    def hidden_BTD(self, tokens_BT: jax.Array, **context) -> jax.Array:
        """The vector of each token after all layers; `context` as in `BertEncoder`."""
        return self.encoder(tokens_BT, **context)

    def __call__(
        self,
        tokens_BT: jax.Array,
        carry: None = None,
        *,
        places_BP: jax.Array | None = None,
        **context,
    ) -> tuple[jax.Array, None]:
        """`logits_BTV, None`, or `logits_BPV` of the given places alone."""
        hidden_BTD = self.encoder(tokens_BT, **context)
        if self.is_initializing() and self.next_sentence:
            self._next_logits(hidden_BTD)
        return self._logits(hidden_BTD, places_BP), None

    def read_pair(
        self, tokens_BT: jax.Array, *, places_BP: jax.Array | None = None, **context
    ) -> tuple[jax.Array, jax.Array]:
        """`logits_BPV, next_logits_B2`: of 0, the second text follows the first, and 1, it doesn't.

        It is for models with `next_sentence`.
        """
        hidden_BTD = self.encoder(tokens_BT, **context)
        return self._logits(hidden_BTD, places_BP), self._next_logits(hidden_BTD)

    def _logits(self, hidden_BTD, places_BP) -> jax.Array:
        x_BTD = self.head_dense(at_places(hidden_BTD, places_BP))
        x_BTD = jax.nn.gelu(x_BTD, approximate=False)
        logits_BTV = self.encoder.embedding.attend(self.head_norm(x_BTD))
        return logits_BTV + self.output.bias_V[None, None, :]

    def _next_logits(self, hidden_BTD) -> jax.Array:
        return self.next_head(self.pooler(hidden_BTD))
