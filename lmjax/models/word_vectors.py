"""Two vectors for each word: one as it is read, and one as it stands beside others."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from lmjax.models.contract import Carry, LanguageModel
from lmjax.nn.embeddings import TokenEmbedding
from lmjax.nn.initializers import symmetric_uniform


class WordVectorModel(LanguageModel):
    """Input and output vectors of Mikolov et al. (2013); with `biases`, those of GloVe, too.

    An objective trains them by which words stand near each other. The logits are those of a word
    beside the last one: the products of its input vector with all output vectors. So the model is a
    language model that reads one word. Both tables are drawn uniformly within 0.5 / `width` of 0.
    """

    width: int
    biases: bool  # one for each input and each output vector (Pennington et al. 2014)
    summed: bool  # the vectors to be used are the sums of both tables, not the input vectors

    reads = "words"

    def setup(self):
        initializer = symmetric_uniform(0.5 / self.width)
        self.embedding = TokenEmbedding(self.vocabulary_size, self.width, initializer)
        self.output = TokenEmbedding(self.vocabulary_size, self.width, initializer)
        if self.biases:
            zeros = nn.with_logical_partitioning(nn.initializers.zeros, ("vocab",))
            self.input_bias_V = self.param("input_bias", zeros, (self.vocabulary_size,))
            self.output_bias_V = self.param("output_bias", zeros, (self.vocabulary_size,))

    def initial_carry(self, batch_size: int, max_length: int, **source) -> Carry:
        return {}

    def __call__(
        self, tokens_BT, carry=None, *, segment_ids_BT=None, positions_BT=None, deterministic=True
    ):
        logits_BTV = self.output.attend(self.embedding(tokens_BT))
        if self.biases:
            logits_BTV += self.input_bias_V[tokens_BT][..., None]
            logits_BTV += self.output_bias_V[None, None, :]
        return logits_BTV, carry

    def input_vectors(self, words_BT: jax.Array) -> jax.Array:
        """`x_BTD`, the vectors of words that are read."""
        return self.embedding(words_BT)

    def output_vectors(self, words_BT: jax.Array) -> jax.Array:
        """`y_BTD`, the vectors of words as they stand beside others."""
        return self.output(words_BT)

    def pair_logits(self, words_BT: jax.Array, others_BT: jax.Array) -> jax.Array:
        """`logits_BT` of each of the others beside its word: the entries that `__call__` gives."""
        products_BTD = self.embedding(words_BT) * self.output(others_BT)
        logits_BT = products_BTD.sum(axis=-1)
        if self.biases:
            logits_BT += self.input_bias_V[words_BT] + self.output_bias_V[others_BT]
        return logits_BT

    def hidden_BTD(self, tokens_BT: jax.Array, **context: Any) -> jax.Array:
        """The input vectors of tokens: as a backbone, averaged, those of Iyyer et al. (2015)."""
        return self.embedding(tokens_BT)

    def word_vectors(self) -> jax.Array:
        """`vectors_VD`, those to be used."""
        words_1V = jnp.arange(self.vocabulary_size)[None, :]
        vectors_VD = self.embedding(words_1V)[0]
        return vectors_VD + self.output(words_1V)[0] if self.summed else vectors_VD
