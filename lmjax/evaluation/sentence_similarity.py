"""How good vectors of sentences are: whether their cosines rank pairs as people do."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lmjax.data.tokenizer import Tokenizer
from lmjax.data.word_tests import RatedPair
from lmjax.errors import UserError
from lmjax.evaluation.text_vectors import text_vectors
from lmjax.evaluation.word_vectors import FEWEST_PAIRS, rank_correlation
from lmjax.models.contract import LanguageModel


def sentence_similarity(
    model: LanguageModel, params: Any, tokenizer: Tokenizer, pairs: Sequence[RatedPair]
) -> float:
    """Spearman's correlation of the cosines of two sentences' vectors with their ratings.

    Raises UserError as `text_vectors`, and for fewer than three pairs.
    """
    if len(pairs) < FEWEST_PAIRS:
        raise UserError(f"{len(pairs)} pairs have no rank correlation; give {FEWEST_PAIRS} or more")
    sentences = [pair.first for pair in pairs] + [pair.second for pair in pairs]
    vectors_ND = text_vectors(model, params, tokenizer, sentences).astype(np.float64)
    vectors_ND /= np.linalg.norm(vectors_ND, axis=1, keepdims=True)
    first_ND, second_ND = np.split(vectors_ND, 2)
    cosines_N = (first_ND * second_ND).sum(axis=1)
    return rank_correlation(cosines_N, [pair.rating for pair in pairs])
