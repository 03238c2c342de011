"""What every tokenizer is, and how a long text is cut without changing its tokens."""

import dataclasses
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

from lmjax.errors import UserError
from lmjax.runs.files import to_json, write_atomically

Ids = Sequence[int] | np.ndarray
PIECE_CHARACTERS = 1 << 20
WORD_END = re.compile(r"(?<=\S)(?=[ \n])")
MARK = re.compile(r"(?<=[^\W_])(?=[^\w\s])")  # where byte pairs end, too: Chinese has no spaces


class Untold(NamedTuple):
    """What is in a text and not in its tokens."""

    unknowns: int = 0  # words or characters that the vocabulary lacks
    unknown_bytes: int = 0  # of those, in UTF-8
    dropped_bytes: int = 0  # of whitespace, case and accents other than the tokenizer decodes

    @property
    def symbols(self) -> int:
        """How many bytes, and ends of the spelling of an unknown, tell it."""
        return self.unknown_bytes + self.unknowns + self.dropped_bytes


class Tokenizer:
    """Text to integers and back; a subclass is a frozen dataclass of what its file holds.

    Ids count from 0. `<eos>` stands for the end of a line (words) or of a document (the others,
    where `config.data.document_end` asks for it) and is decoded as a line end; the letters `<eos>`
    in a text are letters.
    """

    kind: ClassVar[str]
    vocabulary_size: int
    end_id: int | None  # <eos>
    unknown_id: int | None = None  # <unk>
    newline_id: int | None  # what a line end becomes
    ids_by_frequency: bool = False  # but for <eos> and <unk>, a more frequent token's are smaller
    ends_sources: bool = False  # whether `end_id` stands behind each source, as T5 was trained

    @property
    def start_id(self) -> int:
        """The token that stands before the first one: `<eos>`, else a line end, else 0."""
        if self.end_id is not None:
            return self.end_id
        return self.newline_id or 0

    @property
    def target(self) -> "Tokenizer":
        """The tokenizer of the text that is predicted."""
        return self

    @property
    def source(self) -> "Tokenizer":
        """The tokenizer of what stands before the text: of the sentence that it translates."""
        return self

    @property
    def source_end_id(self) -> int | None:
        """The token behind each text of a source, if one stands there."""
        return self.end_id if self.ends_sources else None

    def special_id(self, role: str) -> int | None:
        """The id of the special token with a role (`mask`, `sentinel_0`, ...), if there is one."""
        return self.special_ids.get(role)

    @property
    def special_ids(self) -> dict[str, int]:
        """The ids of all special tokens by their roles."""
        return {}

    @property
    def description(self) -> str:
        """What it is, in a few words."""
        return f"{self.kind} tokenizer, {self.vocabulary_size:,} entries"

    def encode(self, text: str) -> np.ndarray:
        """`ids_N` in int32; what the vocabulary lacks becomes `<unk>`.

        Raises UserError, naming the character or word, if there is no `<unk>`.
        """
        pieces = [self.encode_piece(piece) for piece in self.text_pieces(text)]
        return np.concatenate(pieces) if pieces else np.zeros(0, np.int32)

    def encode_prompt(self, text: str) -> np.ndarray:
        """As `encode`, for text that a person typed: what is unknown is always refused."""
        return self.encode(text)

    def encode_piece(self, piece: str) -> np.ndarray:
        """`ids_N` of one of `text_pieces`."""
        raise NotImplementedError

    def encode_source(self, text: str, second: str | None = None, longest: int = 0) -> np.ndarray:
        """As `encode`, of a source: with `source_end_id`, if there is one, behind its tokens.

        Those of the second text of a pair follow behind a `separator`. `longest` as of `rooms`.
        Raises UserError, too, if there is no separator.
        """
        texts = (text,) if second is None else (text, second)
        rooms = self.rooms(texts, longest)
        parts = [self._ended(self.encode(t)[:room]) for t, room in zip(texts, rooms, strict=True)]
        if second is not None and self.source_end_id != (separator := self.pair_separator()):
            parts.insert(1, np.array([separator], np.int32))
        return np.concatenate(parts)

    def rooms(self, texts: Sequence[str], longest: int) -> list[int | None]:
        """How many tokens of each text of a source there is room for, if `longest` are in all.

        Of a pair, the longer text loses its end first. None: for all, as without a `longest` (0).
        Raises UserError if that leaves no token of each text.
        """
        rooms: list[int | None] = [None] * len(texts)
        if not longest:
            return rooms
        marks = len(texts) if self.source_end_id is not None else 0
        if len(texts) > 1 and self.source_end_id != self.pair_separator():
            marks += 1
        lengths, room = [len(self.encode(text)) for text in texts], longest - marks
        if room < len(texts):
            raise UserError(
                f"data.cut_sources is {longest}, which leaves {max(0, room)} tokens for the texts "
                f"of a source, beside {marks} that end or part them; give {marks + len(texts)} or "
                "more, or 0 for whole sources"
            )
        if sum(lengths) <= room:
            return rooms
        if len(texts) == 1:
            return [room]
        first = max(room - lengths[1], min(lengths[0], (room + 1) // 2))
        return [first, room - first]

    def pair_separator(self) -> int:
        """The token between the texts of a pair; raises UserError if there is none."""
        separator = self.special_id("separator")
        if separator is None:
            raise UserError(
                "the texts of a pair need a token between them; set "
                "data.special_tokens=('separator',)"
            )
        return separator

    def _ended(self, ids_N: np.ndarray) -> np.ndarray:
        ends = self.source_end_id is not None and len(ids_N)
        return np.append(ids_N, np.int32(self.source_end_id)) if ends else ids_N

    def text_pieces(self, text: str) -> Iterator[str]:
        """`text` in pieces of bounded size whose tokens, put together, are those of the whole."""
        return split_text(text, keep_words=False)

    def places(self, text: str) -> np.ndarray:
        """`places_N` in int64: at which character of `text` each token of `encode(text)` begins.

        Of neighbours that are of one character, such as its bytes, all begin at it. Raises
        UserError for tokens that stand at no places of a text.
        """
        places, begin = [np.zeros(0, np.int64)], 0
        for piece in self.text_pieces(text):
            places.append(begin + self.piece_places(piece))
            begin += len(piece)
        return np.concatenate(places)

    def piece_places(self, piece: str) -> np.ndarray:
        """`places_N` of one of `text_pieces`, counted from its beginning."""
        raise UserError(
            f"the tokens of the {self.kind} tokenizer stand at no places of a text; choose another "
            "data.source_tokenizer"
        )

    def untold(self, text: str, mid_line: bool = False) -> Untold:
        """What the tokens of `text` don't tell of it; `mid_line`: it goes on after a word."""
        return Untold()

    def word_goes_on(self) -> tuple[bytes, bytes]:
        """For each id, whether a word may go on before its token, and whether it may after it.

        Two neighbours are of one word if it may go on after the first and before the second: where
        letters or digits meet. Bytes that are no character by themselves are taken for letters.
        """
        texts = [self.decode([id]) for id in range(self.vocabulary_size)]
        return bytes(is_letter(text[:1]) for text in texts), bytes(
            is_letter(text[-1:]) for text in texts
        )

    def decode(self, ids: Ids) -> str:
        """The text of `ids_N`; bytes that are no UTF-8, as a model may write, become U+FFFD."""
        raise NotImplementedError

    def extends(self, other: "Tokenizer") -> bool:
        """Whether all ids of `other` mean the same here, and there are more behind them."""
        return False

    def symbols(self) -> tuple[str | None, ...]:
        """The word that each id stands for, all different, `</s>` for the end of a line.

        None for an id without one. Raises UserError for a tokenizer whose tokens are no words.
        """
        raise UserError(
            f"the tokens of the {self.kind} tokenizer are no words; vectors of words need "
            "data.tokenizer='word'"
        )

    def join(self, parts: Sequence[str]) -> str:
        """The text of `parts`, each decoded by itself."""
        return "".join(parts)

    def check(self) -> None:
        """Raises UserError for fields, each of its type, that no such tokenizer has together."""

    def to_json(self) -> dict[str, Any]:
        """All that is needed to make the same tokenizer again."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        for name, value in fields.items():
            if isinstance(value, Tokenizer):
                fields[name] = value.to_json()
        return {"kind": self.kind, **fields}

    def library_json(self) -> str | None:
        """It as a tokenizer.json of the library `tokenizers`; None for what that cannot say."""
        return None

    def save(self, path: Path) -> None:
        """Writes the tokenizer as JSON."""
        write_atomically(Path(path), to_json(self.to_json(), indent=1))


def begins(encoding) -> np.ndarray:
    """`places_N`: where each token begins, of what the library `tokenizers` encoded."""
    return np.array([begin for begin, _ in encoding.offsets], np.int64)


def is_letter(character: str) -> bool:
    """Whether a word may have it; U+FFFD stands for bytes that are no character by themselves."""
    return character.isalnum() or character == "\ufffd"


def split_text(text: str, size: int = PIECE_CHARACTERS, *, keep_words: bool) -> Iterator[str]:
    """Consecutive pieces of `size` characters and a few more, each to the end of a word.

    Where no word ends in as many characters again, the word is cut, unless `keep_words`: before a
    punctuation mark, if it has one.
    """
    begin = 0
    while len(text) - begin > size:
        target = begin + size
        latest = len(text) if keep_words else min(target + size, len(text))
        word_end = WORD_END.search(text, target, latest)
        if not word_end and not keep_words:
            word_end = MARK.search(text, target, latest)
        end = word_end.start() if word_end else latest
        yield text[begin:end]
        begin = end
    if begin < len(text):
        yield text[begin:]


def utf8(text: str) -> bytes:
    """`text` in UTF-8; raises UserError for half of a surrogate pair, which has no encoding."""
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise UserError(
            f"{text[error.start]!r} at character {error.start} is half of a surrogate pair; "
            "give the text in UTF-8"
        ) from error


def bytes_that_differ(given: str, shown: str) -> int:
    """How many, in UTF-8, of the characters of `given` that are others in `shown`.

    All of them, if their number differs.
    """
    if len(given) != len(shown):
        return len(utf8(given))
    return sum(len(utf8(a)) for a, b in zip(given, shown, strict=True) if a != b)
