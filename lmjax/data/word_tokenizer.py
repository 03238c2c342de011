"""The tokenizer whose tokens are words between whitespace."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from lmjax.data.tokenizer import Ids, Tokenizer, Untold, split_text, utf8
from lmjax.errors import UserError

UNKNOWN_WORD = "<unk>"
END_OF_LINE = "</s>"  # among words, as word2vec writes it
WHITESPACE = re.compile(r"\s+")
TOKEN = re.compile(r"\n|\S+")


@dataclass(frozen=True)
class WordTokenizer(Tokenizer):
    """`<eos>` for each line end, `<unk>` if it has one, then the `words` between whitespace.

    The letters `<unk>` in a text, as in the Penn Treebank, are a word like any other. Only where
    that word is not among `words` do they stand for what is unknown.
    """

    words: tuple[str, ...]  # the most frequent first
    has_unknown: bool
    kind: ClassVar[str] = "word"
    end_id: ClassVar[int] = 0
    ids_by_frequency: ClassVar[bool] = True
    newline_id: ClassVar[int] = 0

    @classmethod
    def train(cls, texts: list[str], vocabulary_size: int, closed: bool) -> "WordTokenizer":
        """The most frequent words of `texts` that have room in `vocabulary_size`; 0: all.

        All others are `<unk>`; it is left out if there are none: the vocabulary is `closed`, and
        all of it has room.
        """
        counts = _count_words(texts)
        words = sorted(counts, key=lambda word: (-counts[word], word))
        room = vocabulary_size - 1 if vocabulary_size else len(words) + 1
        has_unknown = not closed or len(words) > room
        return cls(tuple(words[: room - has_unknown]), has_unknown)

    @property
    def vocabulary_size(self) -> int:
        return 1 + self.has_unknown + len(self.words)

    @property
    def unknown_id(self) -> int | None:
        return 1 if self.has_unknown else None

    def extends(self, other: Tokenizer) -> bool:
        return (
            isinstance(other, WordTokenizer)
            and self.has_unknown == other.has_unknown
            and len(self.words) > len(other.words)
            and self.words[: len(other.words)] == other.words
        )

    def encode_prompt(self, text: str) -> np.ndarray:
        known = {*self.words, *[UNKNOWN_WORD] * self.has_unknown}
        for word in text.split():
            if word not in known:
                instead = f" or write {UNKNOWN_WORD}" if UNKNOWN_WORD in known else ""
                raise UserError(
                    f"{word!r} is not among the {len(self.words)} words of the training text; "
                    f"leave it out{instead}"
                )
        return self.encode(text)

    def encode_piece(self, piece: str) -> np.ndarray:
        ids: list[int] = []
        for i, line in enumerate(piece.split("\n")):
            if i > 0:
                ids.append(self.end_id)
            ids.extend(map(self._id_of_word.__getitem__, line.split()))
        return np.array(ids, np.int32)

    def piece_places(self, piece: str) -> np.ndarray:
        return np.array([token.start() for token in TOKEN.finditer(piece)], np.int64)

    def untold(self, text: str, mid_line: bool = False) -> Untold:
        known = self._id_of_word
        unknown = [word for word in text.split() if word not in known]
        dropped = 0
        for line in text.split("\n"):
            decoded = " ".join(line.split())
            if mid_line and decoded:
                decoded = " " + decoded
            if line != decoded:
                dropped += _dropped_bytes(line, mid_line)
            mid_line = False
        return Untold(len(unknown), sum(len(utf8(word)) for word in unknown), dropped)

    def text_pieces(self, text: str) -> Iterator[str]:
        return split_text(text, keep_words=True)

    def word_goes_on(self) -> tuple[bytes, bytes]:
        return bytes(self.vocabulary_size), bytes(self.vocabulary_size)

    def decode(self, ids: Ids) -> str:
        return self.join([self._symbols[i] for i in ids])

    def join(self, parts: Sequence[str]) -> str:
        text = " ".join(parts)
        return text.replace(" \n", "\n").replace("\n ", "\n")

    def symbols(self) -> tuple[str | None, ...]:
        end = None if END_OF_LINE in self.words else END_OF_LINE
        unknown = None if UNKNOWN_WORD in self.words else UNKNOWN_WORD
        return (end, *[unknown] * self.has_unknown, *self.words)

    @cached_property
    def _symbols(self) -> list[str]:
        return ["\n", *[UNKNOWN_WORD] * self.has_unknown, *self.words]

    @cached_property
    def _id_of_word(self) -> dict[str, int]:
        first = 1 + self.has_unknown
        ids = _WordIds(zip(self.words, range(first, first + len(self.words)), strict=True))
        ids.unknown_id = self.unknown_id
        return ids


def _dropped_bytes(line: str, mid_line: bool) -> int:
    """Bytes of the whitespace of a line that is not one space between two words."""
    return sum(
        len(utf8(space.group()))
        for space in WHITESPACE.finditer(line)
        if space.group() != " " or space.end() == len(line) or (space.start() == 0 and not mid_line)
    )


class _WordIds(dict):
    """A word that is not in it has `unknown_id`, if that is not None."""

    unknown_id: int | None

    def __missing__(self, word: str) -> int:
        if self.unknown_id is None:
            raise UserError(f"the word {word!r} is not in the training text; leave it out")
        return self.unknown_id


def _count_words(texts: list[str]) -> Counter:
    counts: Counter = Counter()
    for text in texts:
        for piece in split_text(text, keep_words=True):
            counts.update(piece.split())
    return counts
