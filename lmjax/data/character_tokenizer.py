"""The tokenizer whose tokens are the characters of the training text."""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from lmjax.data.tokenizer import Ids, Tokenizer, Untold, utf8
from lmjax.errors import UserError


@dataclass(frozen=True)
class CharacterTokenizer(Tokenizer):
    """The Unicode characters in `characters`, then `<unk>` and `<eos>` if it has them."""

    characters: str  # each once, sorted
    has_unknown: bool
    document_end: bool
    kind: ClassVar[str] = "character"

    @classmethod
    def train(cls, texts: list[str], document_end: bool, closed: bool) -> "CharacterTokenizer":
        """The characters of `texts`, and `<unk>` for all others unless there are none: `closed`."""
        return cls("".join(sorted(set().union(*texts))), not closed, document_end)

    @property
    def vocabulary_size(self) -> int:
        return len(self.characters) + self.has_unknown + self.document_end

    @property
    def unknown_id(self) -> int | None:
        return len(self.characters) if self.has_unknown else None

    @property
    def end_id(self) -> int | None:
        return len(self.characters) + self.has_unknown if self.document_end else None

    @property
    def newline_id(self) -> int | None:
        return self.characters.index("\n") if "\n" in self.characters else None

    def extends(self, other: Tokenizer) -> bool:
        if not isinstance(other, CharacterTokenizer):
            return False
        longer, size = self._entries(), other.vocabulary_size
        return len(longer) > size and longer[:size] == other._entries()

    def _entries(self) -> list[str]:
        """What each id stands for."""
        return [*self.characters, *["<unk>"] * self.has_unknown, *["<eos>"] * self.document_end]

    def encode_piece(self, piece: str) -> np.ndarray:
        ids_N = self._known_ids(piece)
        if self.has_unknown:
            return np.where(ids_N < 0, np.int32(self.unknown_id), ids_N)
        return self._refuse_unknown(piece, ids_N)

    def piece_places(self, piece: str) -> np.ndarray:
        return np.arange(len(piece), dtype=np.int64)

    def encode_prompt(self, text: str) -> np.ndarray:
        return self._refuse_unknown(text, self._known_ids(text))

    def untold(self, text: str, mid_line: bool = False) -> Untold:
        places_N = np.flatnonzero(self._known_ids(text) < 0)
        unknown = "".join([text[place] for place in places_N])
        return Untold(len(unknown), len(utf8(unknown)))

    def decode(self, ids: Ids) -> str:
        symbols = self.characters + "\ufffd" * self.has_unknown + "\n" * self.document_end
        return "".join([symbols[i] for i in ids])

    def _known_ids(self, text: str) -> np.ndarray:
        """`ids_N`, -1 for an unknown character."""
        return self._id_of_code[np.minimum(_codes(text), len(self._id_of_code) - 1)]

    def _refuse_unknown(self, text: str, ids_N: np.ndarray) -> np.ndarray:
        if (ids_N < 0).any():
            raise UserError(
                f"the character {text[np.argmax(ids_N < 0)]!r} is not among the "
                f"{len(self.characters)} of the training text; leave it out"
            )
        return ids_N

    @cached_property
    def _id_of_code(self) -> np.ndarray:
        codes = _codes(self.characters)
        table = np.full(int(codes.max(initial=0)) + 2, -1, np.int32)
        table[codes] = np.arange(len(codes))
        return table


def _codes(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
