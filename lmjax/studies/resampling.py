"""Seeds and segments of a text, resampled: the error of a difference of arms, and permutations.

A draw takes one seed and one segment fewer than there are, so that its variance is that of the mean
(McCarthy and Snowden 1985, "The Bootstrap and Finite Population Sampling"). Draws of as many as
there are vary by 1 - 1/n of it: of three seeds, by two thirds.
"""

import functools
import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from scipy import stats

RESAMPLES = 5000
PERMUTATIONS = 1999
AT_ONCE = 2_000_000  # numbers drawn: a text may have many more segments than memory has room for


def bootstrap_errors(arms_SG: Sequence[np.ndarray], bytes_G: np.ndarray) -> tuple[float, float]:
    """Standard errors of bits per byte: over seeds and text, and over the text alone.

    `arms_SG` are the bits of one arm, or of two, the second of which is taken from the first.
    Segments are drawn for both alike, seeds for each on its own; of one seed nothing is drawn. The
    same figures always give the same errors.
    """
    # Of the first arm's seeds, the second's, and the bytes: in one product, which is faster.
    columns_GC = np.concatenate([*arms_SG, bytes_G[None]]).T
    sums_RC = np.concatenate([part_RG @ columns_GC for part_RG in _draws(len(bytes_G), "text")])
    *sums, bytes_R1 = np.split(sums_RC, np.cumsum([len(bits_SG) for bits_SG in arms_SG]), axis=1)
    over_both_R, over_text_R = np.zeros(RESAMPLES), np.zeros(RESAMPLES)
    for sums_RS, sign, purpose in zip(sums, (1, -1), ("first", "second"), strict=False):
        scores_RS = sums_RS / bytes_R1
        draws_RS = np.concatenate(list(_draws(sums_RS.shape[1], purpose)))
        taken = max(sums_RS.shape[1] - 1, 1)
        over_both_R += sign * np.einsum("rs,rs->r", draws_RS, scores_RS) / taken
        over_text_R += sign * scores_RS.mean(axis=1)
    # What is left of two arms that differ by the same everywhere is rounding.
    return round(float(over_both_R.std(ddof=1)), 12), round(float(over_text_R.std(ddof=1)), 12)


def _draws(n: int, purpose: str) -> Iterable[np.ndarray]:
    """How often each of RESAMPLES draws takes each of n, part by part."""
    return _kept_draws(n, purpose) if RESAMPLES * n <= AT_ONCE else _drawn(n, purpose)


@functools.lru_cache(maxsize=4)
def _kept_draws(n: int, purpose: str) -> tuple[np.ndarray, ...]:
    return tuple(_drawn(n, purpose))


def _drawn(n: int, purpose: str) -> Iterator[np.ndarray]:
    random = np.random.default_rng([n, *purpose.encode()])
    for rows in _parts(RESAMPLES, n):
        counts = np.empty((rows, n))
        for row in counts:
            taken = random.integers(n, size=max(n - 1, 1), dtype=np.int32)
            row[:] = np.bincount(taken, minlength=n)
        yield counts


def _parts(rows: int, columns: int) -> Iterator[int]:
    """Numbers of rows that make so many together, each of AT_ONCE numbers at most, or one row."""
    most = max(AT_ONCE // columns, 1)
    while rows > 0:
        yield min(rows, most)
        rows -= most


def text_p_value(bits_G: np.ndarray) -> float:
    """Two-sided p of the differences of two arms by segment, whose signs are flipped at random.

    The null: of the runs as they are, each is the better one on as many texts like this. It says
    nothing of other seeds.
    """
    random = np.random.default_rng(0)
    seen = abs(bits_G.sum()) * (1 - 1e-12)  # as far out, but for rounding
    further = 0
    for rows in _parts(PERMUTATIONS, len(bits_G)):
        signs_PG = random.choice((-1.0, 1.0), size=(rows, len(bits_G)))
        further += np.count_nonzero(abs(signs_PG @ bits_G) >= seen)
    return float((1 + further) / (1 + PERMUTATIONS))


def seeds_p_value(first_S: Sequence[float], second_S: Sequence[float]) -> float:
    """Two-sided p of two arms' scores by seed, between which the arms are exchanged.

    The null: both arms' scores of this text come from one distribution over seeds. It says nothing
    of other texts, and can't be smaller than `least_seeds_p_value`.
    """
    found = stats.permutation_test(
        (first_S, second_S),
        lambda first, second, axis: first.mean(axis) - second.mean(axis),
        permutation_type="independent",
        n_resamples=PERMUTATIONS,
        rng=np.random.default_rng(0),
    )
    return float(found.pvalue)


def least_seeds_p_value(first: int, second: int) -> float:
    """The smallest p that so many seeds of two arms can give: 0.1 for 3 and 3."""
    return min(1.0, 2 / min(math.comb(first + second, first), PERMUTATIONS + 1))
