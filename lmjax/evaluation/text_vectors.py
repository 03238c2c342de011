"""A vector for each text, of any model that has vectors of tokens."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from lmjax.data.tokenizer import Tokenizer
from lmjax.errors import UserError
from lmjax.mixers.bidirectional_attention import padding_apart
from lmjax.models.contract import LanguageModel

LENGTHS = 16  # rows are padded to its multiples, so that few programs are compiled
LONGEST = 512  # tokens of a row, of a model that could read more


class _Row(NamedTuple):
    text: int  # its number
    tokens: tuple[int, ...]
    pooled: tuple[int, int]  # from which of the tokens to which the vector is of


def text_vectors(
    model: LanguageModel,
    params: Any,
    tokenizer: Tokenizer,
    texts: Sequence[str],
    batch_size: int = 64,
) -> np.ndarray:
    """`vectors_ND`: the mean of the hidden vectors of each text's tokens; of a head what it pools.

    A model of both sides reads a text between the tokenizer's tokens `class` and `separator`, if it
    has both, whose vectors count (Reimers and Gurevych 2019); one of the past reads it after the
    start token. What is longer than the context, or LONGEST, is read in parts, and its vector is
    their mean by their tokens, so that nothing is left out. No vector depends on other texts.
    Raises UserError for a model without such vectors, no text, and a text without tokens.
    """
    if not len(texts):
        raise UserError("there is no text to give a vector of; give one or more")
    rows = [row for i, text in enumerate(texts) for row in _rows(model, tokenizer, text, i)]
    sums, tokens_N = [0.0] * len(texts), np.zeros(len(texts))
    for batch, *arrays in _batches(rows, batch_size, _longest(model)):
        vectors_BD = np.asarray(_vectors(model, params, *arrays), np.float64)
        for row, vector_D in zip(batch, vectors_BD, strict=False):  # the last rows are padding
            count = row.pooled[1] - row.pooled[0]
            sums[row.text] = sums[row.text] + count * vector_D
            tokens_N[row.text] += count
    return (np.stack(sums) / tokens_N[:, None]).astype(np.float32)


def cosines(a_AD: np.ndarray, b_BD: np.ndarray) -> np.ndarray:
    """`cosines_AB` of vectors, 0 where one is zeros."""
    return _units(a_AD) @ _units(b_BD).T


def _units(x_ND: np.ndarray) -> np.ndarray:
    norms_N1 = np.linalg.norm(x_ND.astype(np.float64), axis=1, keepdims=True)
    return x_ND / np.where(norms_N1 > 0, norms_N1, 1)


def _longest(model: LanguageModel) -> int:
    return min(LONGEST, model.longest_context or LONGEST)


def _rows(model: LanguageModel, tokenizer: Tokenizer, text: str, number: int) -> Iterator[_Row]:
    """The parts of a text, each with what stands around it."""
    begin, end, left_out = (), (), 0
    if hasattr(model, "pooled"):
        ids = tokenizer.source.encode_source(text).tolist()
    else:
        ids = tokenizer.encode(text).tolist()
    if model.reads == "both":
        ends = tokenizer.special_id("class"), tokenizer.special_id("separator")
        begin, end = ((ends[0],), (ends[1],)) if None not in ends else ((), ())
    elif model.reads == "past":
        begin, left_out = (tokenizer.start_id,), 1
    if not ids and not end:
        raise UserError(f"text {number + 1} has no tokens: {text[:40]!r}; leave it out")
    size = _longest(model) - len(begin) - len(end)
    for first in range(0, max(1, len(ids)), size):
        tokens = (*begin, *ids[first : first + size], *end)
        yield _Row(number, tokens, (left_out, len(tokens)))


def _batches(
    rows: list[_Row], batch_size: int, longest: int
) -> Iterator[tuple[list[_Row], np.ndarray, np.ndarray, np.ndarray]]:
    """Rows of about one length, `tokens_BT`, `exists_BT` and `weights_BT` (1: the vector is of)."""
    ordered = sorted(rows, key=lambda row: len(row.tokens))
    for first in range(0, len(ordered), batch_size):
        batch = ordered[first : first + batch_size]
        length = min(longest, -(-len(batch[-1].tokens) // LENGTHS) * LENGTHS)
        tokens_BT = np.zeros((batch_size, length), np.int32)
        exists_BT, weights_BT = np.zeros((2, batch_size, length), np.float32)
        for place, row in enumerate(batch):
            tokens_BT[place, : len(row.tokens)] = row.tokens
            exists_BT[place, : len(row.tokens)] = 1
            weights_BT[place, slice(*row.pooled)] = 1
        yield batch, tokens_BT, exists_BT, weights_BT


@partial(jax.jit, static_argnames="model")
def _vectors(
    model: LanguageModel,
    params: Any,
    tokens_BT: jax.Array,
    exists_BT: jax.Array,
    weights_BT: jax.Array,
) -> jax.Array:
    if hasattr(model, "pooled"):
        return model.apply(params, tokens_BT, exists_BT, method="pooled")[0]
    apart_BT = padding_apart(exists_BT)
    hidden_BTD = model.apply(params, tokens_BT, segment_ids_BT=apart_BT, method="hidden_BTD")
    return (hidden_BTD * weights_BT[..., None]).sum(1) / weights_BT.sum(1, keepdims=True).clip(1)
