"""The context-sensitive tasks of the Chomsky hierarchy (Delétang et al. 2023, table A.1): a tape is
enough for them."""

import math
from dataclasses import dataclass

import numpy as np

from lmjax.data.synthetic.chomsky import ChomskyTask, ended

MISSING, EMPTY, BETWEEN, END = 2, 3, 2, 2


@dataclass(frozen=True)
class DuplicateString(ChomskyTask):
    """The input twice."""

    inputs = answers = 2

    def answer_length(self, length):
        return 2 * length

    def answer(self, input_BT):
        return np.tile(input_BT, (1, 2)), None


@dataclass(frozen=True)
class MissingDuplicate(ChomskyTask):
    """The symbol in whose place 2 stands, in a string that is given twice (with a 3 behind it, if
    the input is of odd length)."""

    inputs, answers = 4, 2
    shortest = 2

    def ask(self, generator, rows, length):
        string_BT = generator.integers(2, size=(rows, length // 2))
        missing_B = generator.integers(2 * (length // 2), size=rows)
        input_BT = np.full((rows, length), EMPTY)
        input_BT[:, : 2 * (length // 2)] = np.tile(string_BT, (1, 2))
        input_BT[np.arange(rows), missing_B] = MISSING
        return input_BT

    def answer(self, input_BT):
        half = input_BT.shape[1] // 2
        missing_B = (input_BT == MISSING).argmax(axis=1)
        other_B = (missing_B + half) % (2 * half)
        return np.take_along_axis(input_BT, other_B[:, None], axis=1), None


@dataclass(frozen=True)
class OddsFirst(ChomskyTask):
    """The first, third, fifth ... symbol, then the second, fourth ...: as the paper has it.

    Its code begins with the second one.
    """

    inputs = answers = 2

    def answer_length(self, length):
        return length

    def answer(self, input_BT):
        return np.concatenate([input_BT[:, ::2], input_BT[:, 1::2]], axis=1), None


@dataclass(frozen=True)
class BinaryAddition(ChomskyTask):
    """The sum of two numbers above 0 with 2 between them, all in binary from the lowest digit on.

    The answer's end is 2, without zeros before it.
    """

    inputs = answers = 3
    shortest = 3

    def answer_length(self, length):
        return length + 1

    def ask(self, generator, rows, length):
        first_B = generator.integers(1, length - 1, size=rows)
        input_BT = np.zeros((rows, length), np.int64)
        for input_T, first in zip(input_BT, first_B, strict=True):
            input_T[:first] = _draw_number(generator, first)
            input_T[first] = BETWEEN
            input_T[first + 1 :] = _draw_number(generator, length - 1 - first)
        return input_BT

    def answer(self, input_BT):
        def of_row(symbols):
            return digits(sum(_two_numbers(symbols)))

        return ended(of_row, input_BT, self.answer_length(input_BT.shape[1]), END)


@dataclass(frozen=True)
class BinaryMultiplication(BinaryAddition):
    """The product of two numbers above 0, given and told as those of `binary_addition`."""

    def answer_length(self, length):
        return length

    def answer(self, input_BT):
        def of_row(symbols):
            return digits(math.prod(_two_numbers(symbols)))

        return ended(of_row, input_BT, self.answer_length(input_BT.shape[1]), END)


@dataclass(frozen=True)
class ComputeSqrt(ChomskyTask):
    """The whole part of the square root of a number above 0, both from the highest digit on."""

    inputs = answers = 2

    def answer_length(self, length):
        return (length + 1) // 2

    def ask(self, generator, rows, length):
        return np.array([_draw_number(generator, length) for _ in range(rows)])

    def answer(self, input_BT):
        length = self.answer_length(input_BT.shape[1])
        roots = [digits(math.isqrt(number_of(row[::-1]))) for row in input_BT.tolist()]
        return np.array([[*[0] * (length - len(root)), *root[::-1]] for root in roots]), None


@dataclass(frozen=True)
class BucketSort(ChomskyTask):
    """The symbols of the input, 0 to 4, in their order."""

    inputs = answers = 5

    def answer_length(self, length):
        return length

    def answer(self, input_BT):
        return np.sort(input_BT, axis=1), None


def digits(number: int) -> list[int]:
    """In binary, from the lowest on; of 0 none."""
    return [int(digit) for digit in f"{number:b}"[::-1]] if number else []


def number_of(digits: list[int]) -> int:
    """Of digits in binary, from the lowest on."""
    return int("".join(map(str, digits[::-1])), 2)


def _two_numbers(symbols: list[int]) -> tuple[int, int]:
    between = symbols.index(BETWEEN)
    return number_of(symbols[:between]), number_of(symbols[between + 1 :])


def _draw_number(generator: np.random.Generator, length: int) -> np.ndarray:
    """`digits_T` of a number from 1 on that has at most so many, any as likely."""
    while True:
        digits_T = generator.integers(2, size=length)
        if digits_T.any():
            return digits_T
