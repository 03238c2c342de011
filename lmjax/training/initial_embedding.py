"""A run whose embedding begins with vectors of words from a file."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lmjax.data.tokenizer import Tokenizer
from lmjax.data.word_vectors import WordVectors, read_word_vectors
from lmjax.errors import UserError
from lmjax.models.contract import LanguageModel
from lmjax.nn.leaves import leaf_name, leaf_named, token_embedding


@dataclass(frozen=True)
class Embedded:
    """Parameters whose embedding has vectors of a file, and what is to be said of them."""

    params: Any
    remark: str


def with_initial_embedding(
    file: str, params: Any, tokenizer: Tokenizer, model: LanguageModel
) -> Embedded:
    """The parameters with the vector of each word that the file has, in word2vec's or GloVe's text.

    The embedding is that of the targets or, where these have none, as in a head on a backbone, of
    the sources. A word that the file lacks has the vector of the word in lower case or, if it lacks
    that, too, the one that was drawn. Raises UserError for a file that can't be read, vectors of
    another width than the embedding's, a tokenizer whose tokens are no words, and a model without a
    table of them.
    """
    try:
        is_head = hasattr(model, "backbone")  # which reads sources alone
        name = None if is_head else token_embedding(params, model.vocabulary_size)
        if name is None and model.reads == "source":
            name = token_embedding(params, model.source_vocabulary_size)
            tokenizer = tokenizer.source
        if name is None:
            raise UserError("this model has no table of its tokens' vectors, or more than one")
        symbols = tokenizer.symbols()
        vectors = read_word_vectors(file)
        table_VD = np.array(leaf_named(params, name))
        if vectors.width != table_VD.shape[1]:
            raise UserError(
                f"its vectors have the width {vectors.width}, and {name} has {table_VD.shape[1]}; "
                "give the model an embedding as wide as the vectors"
            )
        found, rows = _rows(symbols, vectors)
    except UserError as error:
        raise UserError(f"training.initial_embedding {file!r}: {error}") from error
    table_VD[found] = vectors.vectors_VD[rows]
    exact = sum(symbols[i] in vectors.index for i in found)
    remark = (
        f"{name} begins with the vectors of {file}: {exact:,} of {len(symbols):,} tokens are among "
        f"its {len(vectors.words):,} words and {len(found) - exact:,} more in lower case; "
        f"{len(symbols) - len(found):,} are not, and keep what was drawn"
    )

    def replaced(path, leaf):
        return jnp.asarray(table_VD, leaf.dtype) if leaf_name(path) == name else leaf

    return Embedded(jax.tree_util.tree_map_with_path(replaced, params), remark)


def _rows(symbols: tuple[str | None, ...], vectors: WordVectors) -> tuple[list[int], list[int]]:
    """The ids of the tokens that have a vector, and where it is."""
    pairs = [(i, vectors.row_of(symbol)) for i, symbol in enumerate(symbols) if symbol is not None]
    known = [(i, row) for i, row in pairs if row is not None]
    if not known:
        raise UserError("none of its words is a token; see that it is of the language of the text")
    found, rows = zip(*known, strict=True)
    return list(found), list(rows)
