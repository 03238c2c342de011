"""What every generated task is: examples of any length, drawn from a generator of numbers."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lmjax.errors import UserError


@dataclass(frozen=True)
class Examples:
    """B examples of one length: what is read, and what is to be told at the places that count."""

    tokens_BT: np.ndarray  # int32
    targets_BT: np.ndarray  # int32, of any value where nothing is told
    counts_BT: np.ndarray  # bool, whether a target is to be told after reading this token

    @property
    def answers_N(self) -> np.ndarray:
        """The targets that count, example by example."""
        return self.targets_BT[self.counts_BT]


@dataclass(frozen=True)
class Task:
    """A subclass draws the examples; its fields are its options: bool, int, float or str.

    Raises UserError for an option out of range.
    """

    evaluation_examples: int = 3000  # of each split that is scored, spread over its lengths

    # Whether as many places count in every row and the vocabulary is so large that logits are
    # best formed of those alone.
    few_places: ClassVar[bool] = False

    def __post_init__(self):
        self.at_least("evaluation_examples", 1)

    @property
    def vocabulary_size(self) -> int:
        """The ids that are read or told."""
        raise NotImplementedError

    def check(self, longest: int) -> None:
        """Raises UserError for a `data.length` that the task can't have."""

    def train_lengths(self, longest: int) -> np.ndarray:
        """The lengths of what is trained on, one for each batch, and of validation."""
        return np.array([longest])

    def test_lengths(self, longest: int) -> np.ndarray:
        """The lengths of what is tested on."""
        return self.train_lengths(longest)

    def row_length(self, length: int) -> int:
        """The tokens of an example of that length."""
        return length

    def draw(self, generator: np.random.Generator, rows: int, length: int) -> Examples:
        """So many examples of that length."""
        raise NotImplementedError

    def at_least(self, option: str, least: int) -> None:
        """Raises UserError if the option is less."""
        if getattr(self, option) < least:
            raise UserError(
                f"data.task_options.{option} is {getattr(self, option)}; it is at least {least}"
            )


def without_replacement(
    generator: np.random.Generator, rows: int, count: int, low: int, high: int
) -> np.ndarray:
    """`drawn_BN`: in each row `count` different numbers from `low` to `high` - 1, any as likely."""
    if count**2 > 2 * (high - low):  # rows without a repetition are rare
        numbers_BN = np.tile(np.arange(low, high), (rows, 1))
        return generator.permuted(numbers_BN, axis=1)[:, :count]
    drawn_BN = generator.integers(low, high, (rows, count))
    while True:
        ordered_BN = np.sort(drawn_BN, axis=1)
        repeats_B = (ordered_BN[:, 1:] == ordered_BN[:, :-1]).any(axis=1)
        if not repeats_B.any():
            return drawn_BN
        drawn_BN[repeats_B] = generator.integers(low, high, (repeats_B.sum(), count))
