"""What the tasks of the Chomsky hierarchy have in common (Delétang et al. 2023).

An input of L symbols is read, then one blank for each symbol of the answer, which is told there
all at once: no symbol of an answer is read before the next one is told. Training draws a length for
each batch; the test is of longer inputs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lmjax.data.synthetic.task import Examples, Task
from lmjax.errors import UserError


@dataclass(frozen=True)
class ChomskyTask(Task):
    """Training and validation have all lengths up to `data.length`, 40 in the paper.

    Raises UserError for tests that are no longer than the training.
    """

    evaluation_examples: int = 7360  # 16 of each length of the test
    test_shortest: int = 41  # symbols of an input
    test_longest: int = 500

    inputs: ClassVar[int]  # symbols of the input, 0, 1, ...; the blank is the next id
    answers: ClassVar[int]  # symbols of the answer, 0, 1, ...
    shortest: ClassVar[int] = 1  # inputs for which there is a question
    every: ClassVar[int] = 1  # of the lengths from there on

    @property
    def vocabulary_size(self) -> int:
        return max(self.inputs + 1, self.answers)

    def check(self, longest: int) -> None:
        if longest < self.shortest:
            raise UserError(
                f"data.length is {longest}; inputs have at least {self.shortest} symbols"
            )
        if not longest < self.test_shortest <= self.test_longest:
            raise UserError(
                f"data.length is {longest}, and data.task_options.test_shortest "
                f"{self.test_shortest} to test_longest {self.test_longest}; tests are of longer "
                "inputs than the training"
            )
        if not len(self.test_lengths(longest)):
            raise UserError(
                f"the task has no input of {self.test_shortest} to {self.test_longest} symbols; "
                "raise data.task_options.test_longest"
            )

    def train_lengths(self, longest: int) -> np.ndarray:
        return np.arange(self.shortest, longest + 1, self.every)

    def test_lengths(self, longest: int) -> np.ndarray:
        lengths = self.train_lengths(self.test_longest)
        return lengths[lengths >= self.test_shortest]

    def row_length(self, length: int) -> int:
        return length + self.answer_length(length)

    def answer_length(self, length: int) -> int:
        """The symbols of the answer to an input of that length, with what follows its end."""
        return 1

    def ask(self, generator: np.random.Generator, rows: int, length: int) -> np.ndarray:
        """`input_BT` of so many questions."""
        return generator.integers(self.inputs, size=(rows, length))

    def answer(self, input_BT: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """`answer_BT` to them, and whether each of its symbols counts, None if all do."""
        raise NotImplementedError

    def draw(self, generator: np.random.Generator, rows: int, length: int) -> Examples:
        input_BT = self.ask(generator, rows, length)
        answer_BT, counted_BT = self.answer(input_BT)
        counted_BT = np.full(answer_BT.shape, True) if counted_BT is None else counted_BT
        zeros_BT = np.zeros(input_BT.shape, np.int32)
        blanks_BT = np.full(answer_BT.shape, self.inputs)
        return Examples(
            np.concatenate([input_BT, blanks_BT], axis=1, dtype=np.int32),
            np.concatenate([zeros_BT, answer_BT], axis=1, dtype=np.int32),
            np.concatenate([zeros_BT > 0, counted_BT], axis=1),
        )


def ended(
    answer: Callable[[list[int]], list[int]], input_BT: np.ndarray, length: int, end: int
) -> tuple[np.ndarray, np.ndarray]:
    """`answer_BT` of each row with `end` behind it, then 0, and what counts: up to `end`."""
    rows = [[*answer(row), end] for row in input_BT.tolist()]
    answer_BT = np.array([[*row, *[0] * (length - len(row))] for row in rows])
    ends_B = np.array([len(row) for row in rows])
    return answer_BT, np.arange(length)[None, :] < ends_B[:, None]
