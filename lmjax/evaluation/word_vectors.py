"""How good vectors of words are: neighbours, similarities that people gave, analogies."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lmjax.data.word_tests import Analogy, RatedPair, analogies, simlex, wordsim
from lmjax.data.word_vectors import WordVectors
from lmjax.errors import UserError

QUESTIONS_AT_A_TIME = 512  # of which each is compared with every word
FEWEST_PAIRS = 3  # of which a rank correlation says anything


def nearest_neighbours(vectors: WordVectors, word: str, count: int = 10) -> list[tuple[str, float]]:
    """The words of the largest cosine with a word, and that cosine, without the word itself.

    Raises UserError for a word that has no vector.
    """
    row = vectors.row_of(word)
    if row is None:
        raise UserError(f"{word!r} is not among the {len(vectors.words):,} words with a vector")
    cosines_V = vectors.unit_vectors_VD @ vectors.unit_vectors_VD[row]
    cosines_V[row] = -np.inf
    best = np.argsort(-cosines_V, kind="stable")[: min(count, len(cosines_V) - 1)]
    return [(vectors.words[i], float(cosines_V[i])) for i in best]


def rank_correlation(numbers: Sequence[float], ratings: Sequence[float]) -> float:
    """Spearman's; the ranks of equal ones are their mean."""
    from scipy.stats import spearmanr  # it takes a third of a second to import

    return float(spearmanr(numbers, ratings).statistic)


def similarity(vectors: WordVectors, pairs: Sequence[RatedPair]) -> dict[str, Any]:
    """Spearman's correlation of cosines with ratings, over the pairs whose words have vectors.

    `spearman` (None of fewer than three pairs or of cosines that are all equal), `covered` and
    `pairs`: how many there are.
    """
    unit_VD = vectors.unit_vectors_VD
    cosines, ratings = [], []
    for pair in pairs:
        first, second = vectors.row_of(pair.first), vectors.row_of(pair.second)
        if first is not None and second is not None:
            cosines.append(float(unit_VD[first] @ unit_VD[second]))
            ratings.append(pair.rating)
    defined = len(cosines) >= FEWEST_PAIRS and len(set(cosines)) > 1 and len(set(ratings)) > 1
    spearman = rank_correlation(cosines, ratings) if defined else None
    return {"spearman": spearman, "covered": len(cosines), "pairs": len(pairs)}


def analogy_accuracy(vectors: WordVectors, questions: Sequence[Analogy]) -> dict[str, Any]:
    """How many analogies are answered right, of those whose four words have vectors.

    The answer to `a : b = c : ?` is the word, other than these three, of the largest cosine with
    b - a + c, all of length 1 (3CosAdd; Mikolov et al. 2013). `accuracy` is None where `covered`
    is 0; `correct` and `questions` are counts.
    """
    rows = [[vectors.row_of(word) for word in question] for question in questions]
    rows_N4 = np.array([row for row in rows if None not in row], np.int64).reshape(-1, 4)
    correct = sum(
        int(_is_right_N(vectors.unit_vectors_VD, rows_N4[i : i + QUESTIONS_AT_A_TIME]).sum())
        for i in range(0, len(rows_N4), QUESTIONS_AT_A_TIME)
    )
    return _accuracy(correct, len(rows_N4), len(questions))


def _accuracy(correct: int, covered: int, questions: int) -> dict[str, Any]:
    accuracy = correct / covered if covered else None
    return {"accuracy": accuracy, "correct": correct, "covered": covered, "questions": questions}


def _is_right_N(unit_VD: np.ndarray, rows_N4: np.ndarray) -> np.ndarray:
    first_ND, second_ND, third_ND = (unit_VD[rows_N4[:, i]] for i in range(3))
    cosines_NV = (second_ND - first_ND + third_ND) @ unit_VD.T
    np.put_along_axis(cosines_NV, rows_N4[:, :3], -np.inf, axis=1)
    return cosines_NV.argmax(axis=1) == rows_N4[:, 3]


def evaluate_word_vectors(vectors: WordVectors) -> dict[str, Any]:
    """All published tests: `wordsim_353`, `simlex_999`, `analogies` in total and by section.

    Raises UserError if a test is nowhere to be had.
    """
    by_section = {
        section: analogy_accuracy(vectors, questions) for section, questions in analogies().items()
    }
    syntactic = [section for section in by_section if section.startswith("gram")]
    semantic = [section for section in by_section if section not in syntactic]
    return {
        "words": len(vectors.words),
        "width": vectors.width,
        "wordsim_353": similarity(vectors, wordsim()),
        "simlex_999": similarity(vectors, simlex()),
        "analogies": {
            "all": _summed(list(by_section.values())),
            "semantic": _summed([by_section[section] for section in semantic]),
            "syntactic": _summed([by_section[section] for section in syntactic]),
            "sections": by_section,
        },
    }


def _summed(parts: list[dict[str, Any]]) -> dict[str, Any]:
    return _accuracy(
        *(sum(part[of] for part in parts) for of in ("correct", "covered", "questions"))
    )
