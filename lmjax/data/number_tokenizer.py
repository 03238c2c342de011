"""A text that is one number, as a token: what a regression is to tell."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lmjax.data.tokenizer import Ids, Tokenizer, Untold, bytes_that_differ
from lmjax.errors import UserError

STEP = 1000  # ids of one unit
LARGEST = 1000  # in size


@dataclass(frozen=True)
class NumberTokenizer(Tokenizer):
    """The id of a number counts the thousandths from -1000 up, to the nearest."""

    kind: ClassVar[str] = "number"
    vocabulary_size: ClassVar[int] = 2 * LARGEST * STEP + 1
    end_id: ClassVar[None] = None
    newline_id: ClassVar[None] = None

    def encode_piece(self, piece: str) -> np.ndarray:
        return np.array([_id_of(word) for word in piece.split()], np.int32)

    def untold(self, text: str, mid_line: bool = False) -> Untold:
        """Further digits, and how a number is written, are not in its id."""
        shown = self.join([self.decode([_id_of(word)]) for word in text.split()])
        return Untold(dropped_bytes=bytes_that_differ(text, shown))

    def decode(self, ids: Ids) -> str:
        return self.join([f"{value:g}" for value in values_of(np.asarray(ids)).tolist()])

    def join(self, parts) -> str:
        return " ".join(filter(None, parts))


def values_of(ids_N: np.ndarray) -> np.ndarray:
    """The numbers that ids stand for; also of an array of JAX."""
    return (ids_N - LARGEST * STEP) / STEP


def _id_of(word: str) -> int:
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if not abs(value) <= LARGEST:
        raise UserError(
            f"{word[:80]!r} is no number from -{LARGEST} to {LARGEST}, as those are that "
            "data.tokenizer='number' is for; give such targets, or another data.tokenizer"
        )
    return round(value * STEP) + LARGEST * STEP
