"""A text that is one label, as a token."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from lmjax.data.tokenizer import Ids, Tokenizer
from lmjax.errors import UserError, nearest

SHOWN = 80  # characters of a label in a message


@dataclass(frozen=True)
class LabelTokenizer(Tokenizer):
    """Each text as a whole is one of `labels`, whatever it holds; there are no other tokens."""

    labels: tuple[str, ...]
    kind: ClassVar[str] = "label"
    end_id: ClassVar[None] = None
    newline_id: ClassVar[None] = None

    @classmethod
    def train(cls, texts: Iterable[str]) -> "LabelTokenizer":
        """The different texts, in order."""
        return cls(tuple(sorted(set(texts))))

    @property
    def vocabulary_size(self) -> int:
        return len(self.labels)

    def encode_piece(self, piece: str) -> np.ndarray:
        if piece not in self._id_of_label:
            raise UserError(
                f"{piece[:SHOWN]!r} is not among the labels of training and validation: "
                f"{nearest(piece[:SHOWN], self.labels)}"
            )
        return np.array([self._id_of_label[piece]], np.int32)

    def decode(self, ids: Ids) -> str:
        return self.join([self.labels[i] for i in ids])

    def join(self, parts) -> str:
        return " ".join(filter(None, parts))

    @cached_property
    def _id_of_label(self) -> dict[str, int]:
        return {label: i for i, label in enumerate(self.labels)}
