"""Words that are left out of a text, or drawn, by how frequent they are."""

import numpy as np


def kept_probabilities(counts_V: np.ndarray, threshold: float) -> np.ndarray:
    """The probability of keeping each word where frequent ones are left out at random.

    Of a word with the share f of the text it is sqrt(t/f) + t/f, at most 1, for the threshold t: as
    in the program of Mikolov et al. (2013), whose equation 5 has the first term alone. A threshold
    of 0 keeps all.
    """
    if threshold == 0:
        return np.ones(len(counts_V))
    ratio_V = threshold * counts_V.sum() / np.maximum(counts_V, 1)
    return np.minimum(np.sqrt(ratio_V) + ratio_V, 1.0)


class UnigramNoise:
    """Words with probabilities in proportion to their counts to the `power`."""

    def __init__(self, counts_V: np.ndarray, power: float):
        powers_V = np.where(counts_V > 0, counts_V.astype(np.float64) ** power, 0.0)
        self.probabilities_V = powers_V / powers_V.sum()
        self._cumulative_V = np.cumsum(self.probabilities_V)

    def draw(self, count: int, generator: np.random.Generator) -> np.ndarray:
        """`count` words, int32."""
        draws_N = generator.random(count) * self._cumulative_V[-1]
        return np.searchsorted(self._cumulative_V, draws_N, side="right").astype(np.int32)
