"""Lengths of the rows of truncated back-propagation that are not always the same."""

import numpy as np

STEP = 5  # lengths are its multiples, so that a program is compiled for few of them
HALVED = 0.05  # share of the lengths whose mean is half


def draw_lengths(
    columns: int, length: int, deviation: float, generator: np.random.Generator
) -> np.ndarray:
    """`lengths_S`, multiples of STEP that cover `columns` with less than one STEP left over.

    They are normal, with this deviation from `length`, or from half of it in HALVED of them (Merity
    et al. 2018, section 5). How many there are follows from the arguments but the generator; for
    that, some of them are a STEP longer or shorter than drawn.
    """
    size = count_lengths(columns, length)
    means_S = np.where(generator.random(size) < HALVED, length / 2, length)
    drawn_S = np.rint(generator.normal(means_S, deviation) / STEP)
    steps_S = np.maximum(drawn_S, 1).astype(np.int64)
    missing = -(-columns // STEP) - int(steps_S.sum())
    while missing:
        may_change_N = np.flatnonzero(steps_S > 1) if missing < 0 else np.arange(size)
        some_N = generator.permutation(may_change_N)[: abs(missing)]
        steps_S[some_N] += np.sign(missing)
        missing -= np.sign(missing) * len(some_N)
    return steps_S * STEP


def count_lengths(columns: int, length: int) -> int:
    """How many lengths cover `columns`."""
    mean = (1 - HALVED) * length + HALVED * length / 2
    return max(1, min(round(columns / mean), -(-columns // STEP)))
