"""The regular tasks of the Chomsky hierarchy (Delétang et al. 2023, table A.1): finite memory."""

from dataclasses import dataclass

import numpy as np

from lmjax.data.synthetic.chomsky import ChomskyTask

MODULUS = 5
PLUS, MINUS, TIMES = MODULUS, MODULUS + 1, MODULUS + 2


@dataclass(frozen=True)
class EvenPairs(ChomskyTask):
    """0 if the number of 01 and 10 together is even, else 1."""

    inputs = answers = 2

    def answer(self, input_BT):
        return (input_BT[:, 1:] != input_BT[:, :-1]).sum(axis=1, keepdims=True) % 2, None


@dataclass(frozen=True)
class ParityCheck(ChomskyTask):
    """0 if the number of 1 is even, else 1."""

    inputs = answers = 2

    def answer(self, input_BT):
        return input_BT.sum(axis=1, keepdims=True) % 2, None


@dataclass(frozen=True)
class CycleNavigation(ChomskyTask):
    """The place on a cycle of 5 after steps back (0), none (1) and forth (2), from place 0 on."""

    inputs, answers = 3, 5

    def answer(self, input_BT):
        return (input_BT - 1).sum(axis=1, keepdims=True) % 5, None


@dataclass(frozen=True)
class ModularArithmetic(ChomskyTask):
    """Digits 0 to 4 with + (5), - (6) and * (7) between them, modulo 5; products come first.

    So inputs are of odd length.
    """

    inputs, answers = MODULUS + 3, MODULUS
    every = 2

    def ask(self, generator, rows, length):
        digits_BT = generator.integers(MODULUS, size=(rows, length))
        operators_BT = generator.integers(PLUS, TIMES + 1, size=(rows, length))
        return np.where(np.arange(length)[None, :] % 2 == 0, digits_BT, operators_BT)

    def answer(self, input_BT):
        sum_B, product_B = np.zeros_like(input_BT[:, 0]), input_BT[:, 0].copy()
        for t in range(1, input_BT.shape[1], 2):
            operator_B, digit_B = input_BT[:, t], input_BT[:, t + 1]
            multiplies_B = operator_B == TIMES
            sum_B = np.where(multiplies_B, sum_B, sum_B + product_B) % MODULUS
            begun_B = np.where(operator_B == MINUS, -digit_B, digit_B)
            product_B = np.where(multiplies_B, product_B * digit_B, begun_B) % MODULUS
        return ((sum_B + product_B) % MODULUS)[:, None], None
