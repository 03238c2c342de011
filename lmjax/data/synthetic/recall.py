"""Tasks of finding again what stood earlier in the row."""

from dataclasses import dataclass

import numpy as np

from lmjax.data.synthetic.task import Examples, Task
from lmjax.errors import UserError


@dataclass(frozen=True)
class SelectiveCopying(Task):
    """Symbols at random places among blanks, to be told in their order at the end.

    Gu and Dao (2023), section 4.1.1, after Jing et al. (2019). 0 is the blank, and 1 is read where
    a symbol is to be told. `data.length` counts what stands before that.
    """

    symbols: int = 14
    copied: int = 16

    def __post_init__(self):
        super().__post_init__()
        self.at_least("symbols", 2)
        self.at_least("copied", 1)

    @property
    def vocabulary_size(self) -> int:
        return self.symbols + 2

    def check(self, longest: int) -> None:
        if longest < self.copied:
            raise UserError(
                f"data.length is {longest}, shorter than the {self.copied} symbols that are to be "
                "copied; raise it or lower data.task_options.copied"
            )

    def row_length(self, length: int) -> int:
        return length + self.copied

    def draw(self, generator: np.random.Generator, rows: int, length: int) -> Examples:
        symbols_BN = generator.integers(2, self.vocabulary_size, (rows, self.copied))
        order_BT = np.argsort(generator.random((rows, length)), axis=1)
        places_BN = np.sort(order_BT[:, : self.copied], axis=1)
        tokens_BT = np.zeros((rows, self.row_length(length)), np.int32)
        np.put_along_axis(tokens_BT, places_BN, symbols_BN, axis=1)
        targets_BT, counts_BT = np.zeros_like(tokens_BT), np.zeros(tokens_BT.shape, bool)
        tokens_BT[:, length:], targets_BT[:, length:], counts_BT[:, length:] = 1, symbols_BN, True
        return Examples(tokens_BT, targets_BT, counts_BT)


@dataclass(frozen=True)
class Induction(Task):
    """Which symbol stood after the mark: the row ends with the mark again (id 0).

    Gu and Dao (2023), section 4.1.2, after Olsson et al. (2022).
    """

    symbols: int = 15

    def __post_init__(self):
        super().__post_init__()
        self.at_least("symbols", 2)

    @property
    def vocabulary_size(self) -> int:
        return self.symbols + 1

    def check(self, longest: int) -> None:
        if longest < 3:
            raise UserError(f"data.length is {longest}; a mark, a symbol and the mark are 3")

    def draw(self, generator: np.random.Generator, rows: int, length: int) -> Examples:
        tokens_BT = generator.integers(1, self.vocabulary_size, (rows, length), np.int32)
        mark_B = generator.integers(length - 2, size=rows)
        tokens_BT[np.arange(rows), mark_B] = tokens_BT[:, -1] = 0
        targets_BT, counts_BT = np.zeros_like(tokens_BT), np.zeros(tokens_BT.shape, bool)
        targets_BT[:, -1] = tokens_BT[np.arange(rows), mark_B + 1]
        counts_BT[:, -1] = True
        return Examples(tokens_BT, targets_BT, counts_BT)
