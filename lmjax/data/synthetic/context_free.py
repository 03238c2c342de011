"""The deterministic context-free tasks of the Chomsky hierarchy (Delétang et al. 2023, table A.1):
a stack is enough for them."""

from dataclasses import dataclass

import numpy as np

from lmjax.data.synthetic.chomsky import ChomskyTask, ended
from lmjax.data.synthetic.regular import MINUS, MODULUS, PLUS

OPEN, CLOSE, UNKNOWN, EQUALS = MODULUS + 2, MODULUS + 3, MODULUS + 4, MODULUS + 5
POP, PUSH_0, PUSH_1 = 2, 3, 4


@dataclass(frozen=True)
class StackManipulation(ChomskyTask):
    """The stack, from its top on, after pops (2) and pushes of 0 (3) and 1 (4) on one of 0 and 1.

    An empty stack stays as it is when it is popped. The answer's end is 2.
    """

    inputs, answers = 5, 3

    def answer_length(self, length):
        return length + 1

    def ask(self, generator, rows, length):
        stack_BT = generator.integers(2, size=(rows, length))
        actions_BT = generator.integers(POP, PUSH_1 + 1, size=(rows, length))
        height_B1 = generator.integers(1, max(2, length), size=(rows, 1))
        return np.where(np.arange(length)[None, :] < height_B1, stack_BT, actions_BT)

    def answer(self, input_BT):
        return ended(_run_stack, input_BT, input_BT.shape[1] + 1, end=2)


def _run_stack(symbols: list[int]) -> list[int]:
    stack: list[int] = []
    for symbol in symbols:
        if symbol == POP:
            stack[-1:] = []
        else:
            stack.append(symbol % PUSH_0)
    return stack[::-1]


@dataclass(frozen=True)
class ReverseString(ChomskyTask):
    """The input from its end on."""

    inputs = answers = 2

    def answer_length(self, length):
        return length

    def answer(self, input_BT):
        return input_BT[:, ::-1], None


@dataclass(frozen=True)
class ModularArithmeticBrackets(ChomskyTask):
    """Digits 0 to 4, +, -, minus signs and brackets, modulo 5: `((1-2)+(-4))`."""

    inputs, answers = MODULUS + 4, MODULUS

    def ask(self, generator, rows, length):
        return np.array([draw_expression(generator, length) for _ in range(rows)])

    def answer(self, input_BT):
        return np.array([[evaluate(row)] for row in input_BT.tolist()]), None


@dataclass(frozen=True)
class SolveEquation(ChomskyTask):
    """Which digit x stands for in an expression with brackets and its value: `((1-x)+(-4))=2`.

    Without products, x counts once or minus once, so there is one answer modulo 5.
    """

    inputs, answers = MODULUS + 6, MODULUS
    shortest = 3

    def ask(self, generator, rows, length):
        expressions_BT = np.array([draw_expression(generator, length - 2) for _ in range(rows)])
        values_B = [evaluate(row) for row in expressions_BT.tolist()]
        draws_BT = np.where(expressions_BT < MODULUS, generator.random(expressions_BT.shape), -1)
        expressions_BT[np.arange(rows), draws_BT.argmax(axis=1)] = UNKNOWN
        equals_B = np.full(rows, EQUALS)
        return np.concatenate([expressions_BT, np.stack([equals_B, values_B], axis=1)], axis=1)

    def answer(self, input_BT):
        return np.array([[_solve(row) for row in input_BT.tolist()]]).T, None


def _solve(symbols: list[int]) -> int:
    *expression, _, value = symbols
    at_zero, at_one = (
        evaluate([digit if symbol == UNKNOWN else symbol for symbol in expression])
        for digit in (0, 1)
    )
    return (value - at_zero) * (at_one - at_zero) % MODULUS  # the slope is its own inverse


def draw_expression(generator: np.random.Generator, length: int) -> list[int]:
    """An expression of that length; the parts of `(a+b)` share it in all ways alike."""
    if length <= 4:
        digit = int(generator.integers(MODULUS))
        return [[digit], [MINUS, digit], [OPEN, digit, CLOSE], [OPEN, MINUS, digit, CLOSE]][
            length - 1
        ]
    left = int(generator.integers(1, length - 3))
    operator = int(generator.integers(PLUS, MINUS + 1))
    parts = draw_expression(generator, left), draw_expression(generator, length - 3 - left)
    return [OPEN, *parts[0], operator, *parts[1], CLOSE]


def evaluate(symbols: list[int]) -> int:
    """The value modulo 5: each digit has the sign of all minuses that it stands behind."""
    signs, sign, total, before = [1], 1, 0, OPEN
    for symbol in symbols:
        if symbol == OPEN:
            signs.append(sign)
        elif symbol == CLOSE:
            signs.pop()
        elif symbol in (PLUS, MINUS):
            between = before < MODULUS or before == CLOSE  # else it is the sign of what follows
            sign = (signs[-1] if between else sign) * (1 if symbol == PLUS else -1)
        else:
            total += sign * symbol
        before = symbol
    return total % MODULUS
