"""Multi-query associative recall (Arora et al. 2023, "Zoology", section 4)."""

from dataclasses import dataclass

import numpy as np

from lmjax.data.synthetic.task import Examples, Task, without_replacement
from lmjax.errors import UserError

BLANK = 0


@dataclass(frozen=True)
class MultiQueryAssociativeRecall(Task):
    """Pairs of a key and a value, then each key once more: its value is to be told.

    Keys are of the lower half of the vocabulary, values of the upper one; none repeats in a row.
    How far behind the pairs a key stands is drawn without replacement with the probability of
    n^(power - 1), n counting every second place. All other places are blank. The numbers are those
    of the paper's figure 2.
    """

    vocabulary: int = 8192
    pairs: int = 4
    power: float = 0.01  # of the law of the gaps; 1: all are as likely

    few_places = True

    def __post_init__(self):
        super().__post_init__()
        self.at_least("pairs", 1)
        if self.vocabulary < 4 * self.pairs + 4:
            raise UserError(
                f"data.task_options.vocabulary is {self.vocabulary}, too small for {self.pairs} "
                f"pairs; give at least {4 * self.pairs + 4}"
            )

    @property
    def vocabulary_size(self) -> int:
        return self.vocabulary

    def check(self, longest: int) -> None:
        if longest < 4 * self.pairs:
            raise UserError(
                f"data.length is {longest}, and {self.pairs} pairs and as many queries, each with "
                f"a place after it, need {4 * self.pairs}; raise it or give fewer pairs"
            )

    def draw(self, generator: np.random.Generator, rows: int, length: int) -> Examples:
        half, pairs = self.vocabulary // 2, self.pairs
        keys_BN = without_replacement(generator, rows, pairs, 1, half)
        values_BN = without_replacement(generator, rows, pairs, half, self.vocabulary)
        space = (length - 2 * pairs) // 2
        weights_N = np.arange(1, space + 1) ** (self.power - 1.0)
        # The first of exponential clocks to ring are a draw without replacement, in its order.
        clocks_BN = generator.exponential(size=(rows, space)) / weights_N[None, :]
        places_BN = 2 * pairs + 2 * np.argsort(clocks_BN, axis=1)[:, :pairs]
        tokens_BT = np.full((rows, length), BLANK, np.int32)
        tokens_BT[:, 0 : 2 * pairs : 2] = keys_BN
        tokens_BT[:, 1 : 2 * pairs : 2] = values_BN
        targets_BT, counts_BT = np.zeros_like(tokens_BT), np.zeros(tokens_BT.shape, bool)
        np.put_along_axis(tokens_BT, places_BN, keys_BN, axis=1)
        np.put_along_axis(targets_BT, places_BN, values_BN, axis=1)
        np.put_along_axis(counts_BT, places_BN, True, axis=1)
        return Examples(tokens_BT, targets_BT, counts_BT)
