"""Unigram: the most probable pieces of each word, as SentencePiece cuts them for T5."""

import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

from lmjax.data.given_tokenizer import PiecesTokenizer
from lmjax.data.text_normalizer import check_normalizer
from lmjax.data.tokenizer import Ids, Untold, bytes_that_differ, is_letter, utf8
from lmjax.errors import UserError
from lmjax.runs.files import parse_json

SPACE = "▁"  # U+2581, how a piece writes the space before a word
LONGEST_PIECE = 256  # characters; the search takes as many steps at each character of a text
MOST_BYTES = 1 << 22  # of all pieces; the library takes some 300 bytes of memory for each
MOST_SCORE = 1e6
LINE_END = {"type": "Replace", "pattern": {"String": "\n"}, "content": " "}
METASPACE = {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": "always", "split": True}
WORDS = {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, METASPACE]}


@dataclass(frozen=True)
class UnigramTokenizer(PiecesTokenizer):
    """Of all ways to cut a word the one of the highest score (Kudo 2018, equation 4).

    A line end is read as a space. Of neighbouring characters without a piece one unknown is made.
    What is not decoded as it was, as repeated spaces and what the normalizer changes, `untold`
    counts.
    """

    pieces: tuple[str, ...]  # by their ids
    scores: tuple[float, ...]  # log-probabilities
    special: dict[str, int] = field(hash=False)
    normalizer: str  # the library's, as JSON
    whitespace_split: bool  # whitespace is between words alone; else each space begins a word
    kind: ClassVar[str] = "unigram"

    def check(self) -> None:
        super().check()
        if self.unknown_id is None:
            raise UserError(
                "a unigram tokenizer needs a token for unknown characters, as <unk>; give another "
                "file"
            )
        if len(self.scores) != len(self.pieces) or any(abs(s) > MOST_SCORE for s in self.scores):
            raise UserError(
                f"a unigram tokenizer needs a score for each piece, of at most {MOST_SCORE:g} "
                "either way; give another file"
            )
        lengths, size = [*map(len, self.pieces)], sum(len(utf8(piece)) for piece in self.pieces)
        if not 0 < min(lengths) <= max(lengths) <= LONGEST_PIECE or size > MOST_BYTES:
            raise UserError(
                f"the pieces of a unigram tokenizer have {min(lengths)} to {max(lengths):,} "
                f"characters, {size:,} bytes in all; 1 to {LONGEST_PIECE} are read, and "
                f"{MOST_BYTES:,} in all; give another file"
            )
        try:
            normalizer = parse_json(self.normalizer.encode())
        except ValueError as error:
            raise UserError(f"the normalizer is not valid JSON ({error}); restore it") from error
        check_normalizer(normalizer)

    def untold(self, text: str, mid_line: bool = False) -> Untold:
        """What decoding the tokens of `text` gives back otherwise than it was, in bytes of `text`.

        - An unknown: all its bytes, and an end.
        - A piece that stands for other letters: the bytes of the letters that differ; of all its
          letters, if their number differs; at least one.
        - Between two pieces anything but the space, or nothing, that decoding puts there: the bytes
          of what is there; one byte, if that is nothing.
        """
        encoding = self._encode(text)
        unknowns = unknown_bytes = dropped = last = 0
        is_first = not mid_line
        for i, (_, end) in zip(encoding.ids, encoding.offsets, strict=True):
            given, last = text[last : max(last, end)], max(last, end)
            shown = self.pieces[i].replace(SPACE, " ")
            shown = shown.removeprefix(" ") if is_first else shown
            is_first = False
            if i == self.unknown_id:
                unknowns += 1
                unknown_bytes += len(utf8(given))
            elif given != shown:
                letters, shown_letters = given.lstrip(), shown.lstrip(" ")
                between = given[: len(given) - len(letters)]
                if between != shown[: len(shown) - len(shown_letters)]:
                    dropped += len(utf8(between)) or 1
                if not shown_letters:  # a space alone, whose offsets may be those of what follows
                    last -= len(letters)
                elif letters != shown_letters:
                    dropped += bytes_that_differ(letters, shown_letters) or 1
        dropped += len(utf8(text[last:]))
        return Untold(unknowns, unknown_bytes, dropped)

    def word_goes_on(self) -> tuple[bytes, bytes]:
        return bytes(is_letter(piece[:1]) for piece in self.pieces), bytes(
            is_letter(piece[-1:]) for piece in self.pieces
        )

    def decode(self, ids: Ids) -> str:
        lines = [""]
        for i in ids:
            if i == self.end_id:
                lines.append("")
            else:
                lines[-1] += self.pieces[i].replace(SPACE, " ")
        return "\n".join(line.removeprefix(" ") for line in lines)

    @cached_property
    def _library(self):
        from tokenizers import Tokenizer as Library

        # No text has a special token: none has a space any more when its pieces are looked for.
        special = {*self.special.values()}
        pieces = [f" {p}" if i in special else p for i, p in enumerate(self.pieces)]
        theirs = parse_json(self.normalizer.encode())
        steps = [] if theirs is None else theirs.get("normalizers", [theirs])
        normalizer = {"type": "Sequence", "normalizers": [*steps, LINE_END]}
        return Library.from_str(json.dumps(self._described(pieces, normalizer)))

    def _plain_json(self) -> str:
        return json.dumps(self._described(self.pieces, parse_json(self.normalizer.encode())))

    def _described(self, pieces: list[str], normalizer: Any) -> dict[str, Any]:
        """It as a tokenizer.json."""
        return {
            "version": "1.0",
            "added_tokens": [],
            "normalizer": normalizer,
            "pre_tokenizer": WORDS if self.whitespace_split else METASPACE,
            "decoder": METASPACE,
            "model": {
                "type": "Unigram",
                "unk_id": self.unknown_id,
                "vocab": list(zip(pieces, self.scores, strict=True)),
                "byte_fallback": False,
            },
        }
