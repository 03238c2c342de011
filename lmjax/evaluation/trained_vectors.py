"""The vectors of words that a trained model has learned."""

from typing import Any

import numpy as np

from lmjax.data.tokenizer import Tokenizer
from lmjax.data.word_vectors import WordVectors
from lmjax.errors import UserError
from lmjax.models.contract import LanguageModel
from lmjax.nn.leaves import leaf_named, token_embedding


def word_vectors_of(model: LanguageModel, params: Any, tokenizer: Tokenizer) -> WordVectors:
    """The vector of each token that is a word: those that the model offers, else its embedding.

    Raises UserError for a tokenizer whose tokens are no words, and a model without such a table.
    """
    symbols = tokenizer.symbols()
    if hasattr(model, "word_vectors"):
        vectors_VD = model.apply(params, method="word_vectors")
    else:
        name = token_embedding(params, model.vocabulary_size)
        if name is None:
            raise UserError(
                "this model has no table of its tokens' vectors, or more than one; its parameters "
                "are in its checkpoint"
            )
        vectors_VD = leaf_named(params, name)
    rows = [row for row, symbol in enumerate(symbols) if symbol is not None]
    words = tuple(symbols[row] for row in rows)
    return WordVectors(words, np.asarray(vectors_VD, np.float32)[rows])
