"""WordPiece: pieces of words as BERT reads them, of text without its whitespace."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import ClassVar

from lmjax.data.given_tokenizer import PiecesTokenizer
from lmjax.data.tokenizer import Ids, Untold, bytes_that_differ, utf8
from lmjax.errors import UserError

PREFIX = "##"  # of a piece that goes on with a word
LONGEST_WORD = 1000  # characters; the search for pieces takes their square in time
# Which words stand side by side without a space, as far as one may guess it.
NO_SPACE_BEFORE = re.compile(r"[\n.,;:!?)\]}%'’/_-]")
NO_SPACE_AFTER = re.compile(r"[\n(\[{$#'’/_-]")
WITHOUT_SPACES = re.compile(  # Chinese and Japanese
    r"[\u3000-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff]"
)


@dataclass(frozen=True)
class WordPieceTokenizer(PiecesTokenizer):
    """Of each word the longest piece first (Devlin et al. 2019); a word without pieces is unknown.

    Words end at whitespace and at each punctuation mark. What they don't tell, `untold` counts.
    """

    pieces: tuple[str, ...]  # by their ids
    special: dict[str, int] = field(hash=False)
    lowercase: bool
    strip_accents: bool
    clean_text: bool  # without control characters
    split_chinese: bool  # each Chinese character is a word
    longest_word: int  # characters; a longer one is unknown
    kind: ClassVar[str] = "wordpiece"

    def check(self) -> None:
        super().check()
        if self.unknown_id is None:
            raise UserError(
                "a wordpiece tokenizer needs a token for unknown words, as [UNK]; restore the file"
            )
        if not 0 < self.longest_word <= LONGEST_WORD:
            raise UserError(
                f"the longest word of a wordpiece tokenizer has {self.longest_word} characters; "
                f"give 1 to {LONGEST_WORD}"
            )

    def untold(self, text: str, mid_line: bool = False) -> Untold:
        """What decoding the tokens of `text` gives back otherwise than it was, in bytes of `text`.

        - An unknown word: all its bytes, and an end.
        - A piece that stands for other letters, as those of another case or with accents: the bytes
          of the letters that differ; of all its letters, if their number differs.
        - Between two words anything but what decoding puts there (a space, or nothing, by the marks
          beside it): the bytes of what is there; one byte, if that is nothing.

        Where these stand is not charged, as it is not for words. So two different texts of equal
        tokens never both cost nothing.
        """
        encoding, unknown_id = self._encode(text), self.unknown_id
        unknowns = unknown_bytes = dropped = last = 0
        before = "a" if mid_line else ""
        for i, (begin, end) in zip(encoding.ids, encoding.offsets, strict=True):
            piece, given = self.pieces[i], text[max(begin, last) : end]
            goes_on = piece.startswith(PREFIX)
            shown = piece[len(PREFIX) :] if goes_on else piece
            between = "" if goes_on or not before else space(before[-1], shown[0])
            if text[last:begin] != between:
                dropped += len(utf8(text[last:begin])) or 1
            if i == unknown_id:
                unknowns += 1
                unknown_bytes += len(utf8(given))
            elif given != shown:
                dropped += bytes_that_differ(given, shown)
            before, last = shown, end
        dropped += len(utf8(text[last:]))
        return Untold(unknowns, unknown_bytes, dropped)

    def word_goes_on(self) -> tuple[bytes, bytes]:
        special = {self.pieces[i] for i in self.special.values()}
        return bytes(piece.startswith(PREFIX) for piece in self.pieces), bytes(
            piece not in special for piece in self.pieces
        )

    def decode(self, ids: Ids) -> str:
        words: list[str] = []
        for i in ids:
            piece = "\n" if i == self.end_id else self.pieces[i]
            if piece.startswith(PREFIX) and words and words[-1] != "\n":
                words[-1] += piece.removeprefix(PREFIX)
            else:
                words.append(piece)
        return self.join(words)

    def join(self, parts: Sequence[str]) -> str:
        joined: list[str] = []
        before = ""
        for part in parts:
            if before and part:
                joined.append(space(before[-1], part[0]))
            joined.append(part)
            before = part or before
        return "".join(joined)

    @cached_property
    def _library(self):
        from tokenizers import Tokenizer as Library
        from tokenizers import models, normalizers, pre_tokenizers

        model = models.WordPiece(
            {piece: i for i, piece in enumerate(self.pieces)},
            unk_token=self.pieces[self.unknown_id],
            max_input_chars_per_word=self.longest_word,
            continuing_subword_prefix=PREFIX,
        )
        library = Library(model)
        library.normalizer = normalizers.BertNormalizer(
            clean_text=self.clean_text,
            handle_chinese_chars=self.split_chinese,
            strip_accents=self.strip_accents,
            lowercase=self.lowercase,
        )
        library.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        return library


@cache
def space(before: str, after: str) -> str:
    """What decoding puts between two words, of which these are the nearest characters."""
    joined = (
        NO_SPACE_AFTER.match(before)
        or NO_SPACE_BEFORE.match(after)
        or WITHOUT_SPACES.match(before)
        or WITHOUT_SPACES.match(after)
    )
    return "" if joined else " "
