"""The tokenizers: bytes, characters, words, byte pairs; made from a corpus or from a file."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from lmjax.data.byte_pairs import BytePairTokenizer
from lmjax.data.tokenizer import Ids, Tokenizer, split_text, utf8
from lmjax.errors import UserError, nearest
from lmjax.runs.fields import check_fields, is_text, is_true_or_false
from lmjax.runs.files import read_json

UNKNOWN_WORD = "<unk>"


@dataclass(frozen=True)
class ByteTokenizer(Tokenizer):
    """The 256 bytes of UTF-8, then `<eos>` if `document_end`."""

    document_end: bool
    kind: ClassVar[str] = "byte"
    newline_id: ClassVar[int] = ord("\n")

    @property
    def vocabulary_size(self) -> int:
        return 256 + self.document_end

    @property
    def end_id(self) -> int | None:
        return 256 if self.document_end else None

    def encode_piece(self, piece: str) -> np.ndarray:
        return np.frombuffer(utf8(piece), np.uint8).astype(np.int32)

    def decode(self, ids: Ids) -> str:
        ids_N = np.asarray(ids, np.int64)
        ids_N = np.where(ids_N == 256, self.newline_id, ids_N)
        return ids_N.astype(np.uint8).tobytes().decode("utf-8", "replace")


@dataclass(frozen=True)
class CharacterTokenizer(Tokenizer):
    """The Unicode characters in `characters`, then `<unk>` and `<eos>` if it has them."""

    characters: str  # each once, sorted
    has_unknown: bool
    document_end: bool
    kind: ClassVar[str] = "character"

    @classmethod
    def train(
        cls, texts: list[str], other_texts: list[str], document_end: bool
    ) -> "CharacterTokenizer":
        """The characters of `texts`; with `<unk>` only if `other_texts` hold further ones."""
        known = set().union(*texts)
        has_unknown = bool(set().union(*other_texts) - known)
        return cls("".join(sorted(known)), has_unknown, document_end)

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

    def encode_piece(self, piece: str) -> np.ndarray:
        ids_N = self._known_ids(piece)
        if self.has_unknown:
            return np.where(ids_N < 0, np.int32(self.unknown_id), ids_N)
        return self._refuse_unknown(piece, ids_N)

    def encode_prompt(self, text: str) -> np.ndarray:
        return self._refuse_unknown(text, self._known_ids(text))

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


@dataclass(frozen=True)
class WordTokenizer(Tokenizer):
    """`<eos>` for each line end, `<unk>` if it has one, then the `words` between whitespace."""

    words: tuple[str, ...]  # the most frequent first, without <unk>
    has_unknown: bool
    kind: ClassVar[str] = "word"
    end_id: ClassVar[int] = 0
    newline_id: ClassVar[int] = 0

    @classmethod
    def train(
        cls, texts: list[str], other_texts: list[str], vocabulary_size: int
    ) -> "WordTokenizer":
        """The most frequent words of `texts` that have room in `vocabulary_size`; 0: all.

        There is an `<unk>` only if a word of any of the texts is `<unk>` or finds no room.
        """
        counts = _count_words(texts)
        unknown = counts.pop(UNKNOWN_WORD, 0) + len(_count_words(other_texts).keys() - counts)
        words = sorted(counts, key=lambda word: (-counts[word], word))
        room = vocabulary_size - 1 if vocabulary_size else len(words) + 1
        has_unknown = bool(unknown) or len(words) > room
        return cls(tuple(words[: room - has_unknown]), has_unknown)

    @property
    def vocabulary_size(self) -> int:
        return 1 + self.has_unknown + len(self.words)

    @property
    def unknown_id(self) -> int | None:
        return 1 if self.has_unknown else None

    def encode_prompt(self, text: str) -> np.ndarray:
        known = {*self.words, UNKNOWN_WORD}
        for word in text.split():
            if word not in known:
                raise UserError(
                    f"{word!r} is not among the {len(self.words)} words of the training text; "
                    f"leave it out or write {UNKNOWN_WORD}"
                )
        return self.encode(text)

    def encode_piece(self, piece: str) -> np.ndarray:
        ids: list[int] = []
        for i, line in enumerate(piece.split("\n")):
            if i > 0:
                ids.append(self.end_id)
            ids.extend(map(self._id_of_word.__getitem__, line.split()))
        return np.array(ids, np.int32)

    def text_pieces(self, text: str) -> Iterator[str]:
        return split_text(text, keep_words=True)

    def decode(self, ids: Ids) -> str:
        text = " ".join([self._symbols[i] for i in ids])
        return text.replace(" \n", "\n").replace("\n ", "\n")

    @cached_property
    def _symbols(self) -> list[str]:
        return ["\n", *[UNKNOWN_WORD] * self.has_unknown, *self.words]

    @cached_property
    def _id_of_word(self) -> dict[str, int]:
        first = 1 + self.has_unknown
        ids = _WordIds(zip(self.words, range(first, first + len(self.words)), strict=True))
        ids.unknown_id = self.unknown_id
        return ids


class _WordIds(dict):
    """A word that is not in it has `unknown_id`, if that is not None."""

    unknown_id: int | None

    def __missing__(self, word: str) -> int:
        if self.unknown_id is None:
            raise UserError(f"the word {word!r} is not in the training text; leave it out")
        return self.unknown_id


KINDS = {
    tokenizer.kind: tokenizer
    for tokenizer in (ByteTokenizer, CharacterTokenizer, WordTokenizer, BytePairTokenizer)
}
FIELDS = {
    "byte": {"document_end": is_true_or_false},
    "character": {
        "characters": is_text,
        "has_unknown": is_true_or_false,
        "document_end": is_true_or_false,
    },
    "word": {"words": [is_text], "has_unknown": is_true_or_false},
    "bpe": {"model": is_text, "document_end": is_true_or_false},
}


def check_tokenizer(data) -> None:
    """Raises UserError for a `config.data` whose tokenizer or vocabulary size cannot be."""
    size = data.vocabulary_size
    if data.tokenizer not in KINDS:
        raise UserError(f"unknown tokenizer {data.tokenizer!r}: {nearest(data.tokenizer, KINDS)}")
    if size and data.tokenizer in ("byte", "character"):
        raise UserError(
            f"data.vocabulary_size is {size}, but the {data.tokenizer} tokenizer has no size "
            "to choose; set it to 0"
        )
    if size < 0 or size in (1, 2):
        raise UserError(f"data.vocabulary_size is {size}; give 0 or more than 2")


def train_tokenizer(data, texts: list[str], other_texts: list[str]) -> Tokenizer:
    """The tokenizer of `config.data`, made from the training split's `texts`.

    The `other_texts`, of the other splits, decide only whether there is an `<unk>`. Raises
    UserError for what `check_tokenizer` refuses.
    """
    check_tokenizer(data)
    if data.tokenizer == "byte":
        return ByteTokenizer(data.document_end)
    if data.tokenizer == "character":
        return CharacterTokenizer.train(texts, other_texts, data.document_end)
    if data.tokenizer == "word":
        return WordTokenizer.train(texts, other_texts, data.vocabulary_size)
    return BytePairTokenizer.train(texts, data.vocabulary_size, data.document_end)


def tokenizer_from_json(fields: dict[str, Any]) -> Tokenizer:
    """The tokenizer whose `to_json` gave `fields`; raises UserError if they describe none."""
    kind = fields.get("kind") if isinstance(fields, dict) else None
    if not isinstance(kind, str) or kind not in KINDS:
        raise UserError(f"unknown tokenizer {str(kind)[:80]!r}: {nearest(str(kind)[:80], KINDS)}")
    check_fields(fields, {"kind": is_text, **FIELDS[kind]}, f"{kind} tokenizer")
    if len(fields) > 1 + len(FIELDS[kind]):
        known = ", ".join(FIELDS[kind])
        raise UserError(f"a {kind} tokenizer has the fields {known} alone; restore the file")
    for entries in ("characters", "words"):
        if len(set(fields.get(entries, ()))) < len(fields.get(entries, ())):
            raise UserError(f"the {entries} of a {kind} tokenizer repeat one; restore the file")
    arguments = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in fields.items()
        if name != "kind"
    }
    tokenizer = KINDS[kind](**arguments)
    if isinstance(tokenizer, BytePairTokenizer):
        tokenizer.check()
    return tokenizer


def load_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer that `save` wrote; raises UserError if the file is missing or damaged."""
    path = Path(path)
    fields = read_json(path)
    try:
        return tokenizer_from_json(fields)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def _count_words(texts: list[str]) -> Counter:
    counts: Counter = Counter()
    for text in texts:
        for piece in split_text(text, keep_words=True):
            counts.update(piece.split())
    return counts


def _codes(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
