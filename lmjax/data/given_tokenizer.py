"""What tokenizers of other projects have in common: tokens of their own that no text has."""

import dataclasses
from collections.abc import Iterator
from typing import ClassVar, Self

import numpy as np

from lmjax.data.tokenizer import Tokenizer, begins, split_text, utf8
from lmjax.data.wrapped_tokenizers import MOST_NUMBERED, is_role
from lmjax.errors import UserError

MOST_TOKENS = 500_000  # twice those of the largest vocabularies in use
# Before the text, after it, also after each source, and for what the vocabulary lacks.
STANDING = ("start", "end", "source_end", "unknown")
ROLES_OF = {
    "[PAD]": ("padding",),
    "<pad>": ("padding",),
    "[CLS]": ("class", "start"),
    "<s>": ("class", "start"),
    "[SEP]": ("separator", "end"),
    "</s>": ("separator", "end"),
    "[MASK]": ("mask",),
    "<mask>": ("mask",),
    "<|endoftext|>": ("start", "end"),
    **{f"<extra_id_{i}>": (f"sentinel_{i}",) for i in range(MOST_NUMBERED)},  # T5's
}


class GivenTokenizer(Tokenizer):
    """A tokenizer whose `special` gives, for a role, the id of the token that has it."""

    special: dict[str, int]

    @property
    def special_ids(self) -> dict[str, int]:
        return self.special

    @property
    def end_id(self) -> int | None:
        return self.special.get("end")

    @property
    def unknown_id(self) -> int | None:
        return self.special.get("unknown")

    @property
    def start_id(self) -> int:
        return self.special.get("start", super().start_id)

    @property
    def ends_sources(self) -> bool:
        return "source_end" in self.special

    @property
    def source_end_id(self) -> int | None:
        if self.ends_sources:
            return self.end_id
        return self.special["separator"] if self._is_of_bert else None

    @property
    def _is_of_bert(self) -> bool:
        return {"class", "separator"} <= self.special.keys()

    def with_roles(self, **ids: int) -> Self:
        """It with these roles, such as `start`, for the tokens of these ids."""
        return dataclasses.replace(self, special={**self.special, **ids})

    def library_json(self) -> str:
        """With its special tokens, and with those around a text that a model reads it with.

        They are `end_id` behind it if that `ends_sources`, else `class` and `separator`, if it has
        them, before and behind it.
        """
        from tokenizers import Tokenizer as Library
        from tokenizers.processors import TemplateProcessing

        library = Library.from_str(self._plain_json())
        library.add_special_tokens([library.id_to_token(i) for i in {*self.special.values()}])
        if self.ends_sources:
            end = library.id_to_token(self.end_id)
            library.post_processor = TemplateProcessing(
                single=f"$A {end}", pair=f"$A {end} $B {end}", special_tokens=[(end, self.end_id)]
            )
        elif self._is_of_bert:
            tokens = {role: library.id_to_token(self.special[role]) for role in self.special}
            begin, end = tokens["class"], tokens["separator"]
            library.post_processor = TemplateProcessing(
                single=f"{begin} $A {end}",
                pair=f"{begin} $A {end} $B:1 {end}:1",
                special_tokens=[(begin, self.special["class"]), (end, self.special["separator"])],
            )
        return library.to_str()

    def _plain_json(self) -> str:
        """The library's JSON, without special tokens."""
        return self._library.to_str()

    def check(self) -> None:
        for role, i in self.special.items():
            if not (role in STANDING or is_role(role)) or i >= self.vocabulary_size:
                raise UserError(
                    f"a {self.kind} tokenizer has no special token {role[:80]!r} of id {i}; "
                    "restore the file"
                )
        if self.ends_sources and self.special["source_end"] != self.end_id:
            raise UserError(
                f"a {self.kind} tokenizer has another token after a source than after a text; "
                "restore the file"
            )


class PiecesTokenizer(GivenTokenizer):
    """One whose `pieces` are of words; some words have none, and a line end is no token."""

    pieces: tuple[str, ...]  # by their ids
    newline_id: ClassVar[None] = None

    @property
    def vocabulary_size(self) -> int:
        return len(self.pieces)

    def encode_prompt(self, text: str) -> np.ndarray:
        encoding = self._encode(text)
        if self.unknown_id in encoding.ids:
            begin, end = encoding.offsets[encoding.ids.index(self.unknown_id)]
            raise UserError(
                f"{text[begin:end]!r} is not made of the {len(self.pieces)} pieces of the "
                "vocabulary; leave it out"
            )
        return np.array(encoding.ids, np.int32)

    def encode_piece(self, piece: str) -> np.ndarray:
        return np.array(self._encode(piece).ids, np.int32)

    def piece_places(self, piece: str) -> np.ndarray:
        return begins(self._encode(piece))

    def text_pieces(self, text: str) -> Iterator[str]:
        return split_text(text, keep_words=True)

    def _encode(self, text: str):
        utf8(text)
        return self._library.encode(text)


def roles_in(vocabulary: dict[str, int]) -> dict[str, int]:
    """The ids of the special tokens that are known by how they are written, by their roles."""
    special: dict[str, int] = {}
    for token, roles in ROLES_OF.items():
        if token in vocabulary:
            for role in roles:
                special.setdefault(role, vocabulary[token])
    return special
