"""ROUGE (Lin 2004) by rouge-score: how much of references' words and order summaries have."""

from collections.abc import Sequence
from importlib.metadata import version

import numpy as np

from lmjax.errors import UserError

NAMES = {"rouge1": "rouge1", "rouge2": "rouge2", "rougeL": "rougel"}


def rouge(
    predictions: Sequence[str], references: Sequence[str | Sequence[str]]
) -> dict[str, np.ndarray]:
    """By metric, in percent, F of each prediction with that of its references that gives the most.

    Words are runs of the letters a to z and digits, lower-cased and stemmed (Porter), as those of
    ROUGE-1.5.5 with `-m` are; a text without any scores 0. Raises UserError if there is nothing to
    compare.
    """
    if not len(references):
        raise UserError("there is no summary to compare; choose another split")
    from rouge_score.rouge_scorer import RougeScorer  # it takes seconds to import

    scorer = RougeScorer(list(NAMES), use_stemmer=True)
    of_each = [
        scorer.score_multi([right] if isinstance(right, str) else list(right), prediction)
        for prediction, right in zip(predictions, references, strict=True)
    ]
    return {
        name: 100 * np.array([scores[theirs].fmeasure for scores in of_each])
        for theirs, name in NAMES.items()
    }


def signature() -> str:
    """How it was computed, in one line."""
    return f"F|stem:porter|words:a-z0-9|refs:best|rouge-score:{version('rouge-score')}"
