"""Tokens that are numbers and nothing else, as those of generated tasks."""

from dataclasses import dataclass

import numpy as np

from lmjax.data.tokenizer import Ids, Tokenizer
from lmjax.errors import UserError


@dataclass(frozen=True)
class IdTokenizer(Tokenizer):
    """A text is numbers below `vocabulary_size` with blanks between them."""

    vocabulary_size: int

    kind = "ids"
    end_id = None
    newline_id = None

    def check(self) -> None:
        if self.vocabulary_size < 1:
            raise UserError("a tokenizer of ids has at least one; restore the file")

    def encode_piece(self, piece: str) -> np.ndarray:
        words = piece.split()
        for word in words:
            if not (word.isascii() and word.isdigit() and int(word) < self.vocabulary_size):
                raise UserError(
                    f"{word!r} is no id; give numbers from 0 to {self.vocabulary_size - 1} with "
                    "blanks between them"
                )
        return np.array([int(word) for word in words], np.int32)

    def decode(self, ids: Ids) -> str:
        return " ".join(str(int(id)) for id in ids)

    def join(self, parts) -> str:
        return " ".join(filter(None, parts))
