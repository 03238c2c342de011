"""Vectors of sentences, by a model that reads in both directions, and how good they are."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np
from scipy.stats import spearmanr

from lmjax.data.tokenizer import Tokenizer
from lmjax.data.word_tests import RatedPair
from lmjax.errors import UserError
from lmjax.evaluation.word_vectors import FEWEST_PAIRS
from lmjax.mixers.bidirectional_attention import padding_apart
from lmjax.models.contract import LanguageModel

LENGTHS = 16  # rows are padded to its multiples, so that few programs are compiled


def sentence_vectors(
    model: LanguageModel,
    params: Any,
    tokenizer: Tokenizer,
    sentences: Sequence[str],
    batch_size: int = 64,
) -> np.ndarray:
    """`vectors_ND`: the mean of the hidden vectors of each sentence's tokens.

    A sentence stands between the tokenizer's tokens `class` and `separator`, and no vector depends
    on the others (Reimers and Gurevych 2019). Raises UserError for a model without such vectors, a
    tokenizer without these tokens, and a sentence that is longer than the model's context.
    """
    rows = [_row(model, tokenizer, sentence) for sentence in sentences]
    vectors = [None] * len(rows)
    for places, tokens_BT, weights_BT in _batches(rows, batch_size):
        vectors_BD = np.asarray(_mean_hidden(model, params, tokens_BT, weights_BT))
        for place, vector_D in zip(places, vectors_BD, strict=False):  # the last rows are padding
            vectors[place] = vector_D
    return np.stack(vectors)


def sentence_similarity(
    model: LanguageModel, params: Any, tokenizer: Tokenizer, pairs: Sequence[RatedPair]
) -> float:
    """Spearman's correlation of the cosines of two sentences' vectors with their ratings.

    Raises UserError as `sentence_vectors`, and for fewer than three pairs.
    """
    if len(pairs) < FEWEST_PAIRS:
        raise UserError(f"{len(pairs)} pairs have no rank correlation; give {FEWEST_PAIRS} or more")
    sentences = [pair.first for pair in pairs] + [pair.second for pair in pairs]
    vectors_ND = sentence_vectors(model, params, tokenizer, sentences).astype(np.float64)
    vectors_ND /= np.linalg.norm(vectors_ND, axis=1, keepdims=True)
    first_ND, second_ND = np.split(vectors_ND, 2)
    cosines_N = (first_ND * second_ND).sum(axis=1)
    return float(spearmanr(cosines_N, [pair.rating for pair in pairs]).statistic)


def _row(model: LanguageModel, tokenizer: Tokenizer, sentence: str) -> np.ndarray:
    ends = [tokenizer.special_id(role) for role in ("class", "separator")]
    if None in ends:
        raise UserError(
            "the tokenizer has no tokens `class` and `separator`, between which a sentence stands; "
            "name them in data.special_tokens"
        )
    row = np.array([ends[0], *tokenizer.encode(sentence), ends[1]], np.int32)
    longest = model.longest_context
    if longest is not None and len(row) > longest:
        raise UserError(
            f"the sentence {sentence[:40]!r}... has {len(row)} tokens, and the model's context "
            f"{longest}; shorten it"
        )
    return row


def _batches(
    rows: list[np.ndarray], batch_size: int
) -> Iterator[tuple[list[int], np.ndarray, np.ndarray]]:
    """Rows of about one length with their places, `tokens_BT` and `weights_BT` (0: padding)."""
    order = sorted(range(len(rows)), key=lambda place: len(rows[place]))
    for begin in range(0, len(order), batch_size):
        places = order[begin : begin + batch_size]
        length = -(-len(rows[places[-1]]) // LENGTHS) * LENGTHS
        tokens_BT = np.zeros((batch_size, length), np.int32)
        weights_BT = np.zeros((batch_size, length), np.float32)
        for row, place in enumerate(places):
            tokens_BT[row, : len(rows[place])] = rows[place]
            weights_BT[row, : len(rows[place])] = 1
        yield places, tokens_BT, weights_BT


@partial(jax.jit, static_argnames="model")
def _mean_hidden(
    model: LanguageModel, params: Any, tokens_BT: jax.Array, weights_BT: jax.Array
) -> jax.Array:
    apart_BT = padding_apart(weights_BT)
    hidden_BTD = model.apply(params, tokens_BT, segment_ids_BT=apart_BT, method="hidden_BTD")
    return (hidden_BTD * weights_BT[..., None]).sum(1) / weights_BT.sum(1, keepdims=True).clip(1)
