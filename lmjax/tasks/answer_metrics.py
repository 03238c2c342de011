"""How near an answer is to those that people gave: exact match and F1 by the rules of SQuAD 1.1.

As in its evaluate-v1.1.py (Rajpurkar et al. 2016, section 6.1).
"""

import re
import string
from collections import Counter
from collections.abc import Sequence

import numpy as np

ARTICLE = re.compile(r"\b(a|an|the)\b")
NO_PUNCTUATION = str.maketrans("", "", string.punctuation)  # of ASCII alone


def answer_metrics(
    predictions: Sequence[str], references: Sequence[str | Sequence[str]]
) -> dict[str, np.ndarray]:
    """By metric `values_N` in percent, of each answer against the reference it is nearest to."""
    exact, f1 = [], []
    for prediction, reference in zip(predictions, references, strict=True):
        right = [reference] if isinstance(reference, str) else reference
        told, others = words(prediction), [words(text) for text in right]
        exact.append(max(told == other for other in others))
        f1.append(max(word_f1(told, other) for other in others))
    return {"exact_match": 100 * np.array(exact, float), "f1": 100 * np.array(f1, float)}


def words(answer: str) -> list[str]:
    """The words that are compared: in lower case, without punctuation marks and articles."""
    return ARTICLE.sub(" ", answer.lower().translate(NO_PUNCTUATION)).split()


def word_f1(told: Sequence[str], right: Sequence[str]) -> float:
    """The harmonic mean of precision and recall; 0 without a word in common, also of no words."""
    common = sum((Counter(told) & Counter(right)).values())
    return 2 * common / (len(told) + len(right)) if common else 0.0
