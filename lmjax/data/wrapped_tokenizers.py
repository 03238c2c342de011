"""Tokenizers made of others: one with special tokens behind its vocabulary, and one for pairs."""

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lmjax.data.tokenizer import Ids, Tokenizer, Untold
from lmjax.errors import UserError, nearest

ROLES = ("mask", "class", "separator", "padding")
# What stands for a span that is left out; an entry of a vocabulary that no text has.
NUMBERED = re.compile(r"(sentinel|unused)_(0|[1-9][0-9]{0,2})")
MOST_NUMBERED = 1000


def is_role(role: str) -> bool:
    """Whether a special token may have it."""
    return role in ROLES or bool(NUMBERED.fullmatch(role))


def check_roles(roles: Sequence[str]) -> None:
    """Raises UserError for a role that no special token has, and for one that is there twice."""
    for role, times in Counter(roles).items():
        if not is_role(role):
            shown = role[:80]
            hint = nearest(shown, [*ROLES, "sentinel_0", "sentinel_1", "sentinel_999"])
            raise UserError(f"data.special_tokens has an unknown role {shown!r}: {hint}")
        if times > 1:
            raise UserError(f"data.special_tokens has {role!r} {times} times; name it once")


class WrappedTokenizer(Tokenizer):
    """A tokenizer that does all as its `inner` one."""

    inner: Tokenizer

    @property
    def vocabulary_size(self) -> int:
        return self.inner.vocabulary_size

    @property
    def end_id(self) -> int | None:
        return self.inner.end_id

    @property
    def unknown_id(self) -> int | None:
        return self.inner.unknown_id

    @property
    def newline_id(self) -> int | None:
        return self.inner.newline_id

    @property
    def start_id(self) -> int:
        return self.inner.start_id

    @property
    def ends_sources(self) -> bool:
        return self.inner.ends_sources

    @property
    def source_end_id(self) -> int | None:
        return self.inner.source_end_id

    @property
    def ids_by_frequency(self) -> bool:
        return self.inner.ids_by_frequency

    @property
    def special_ids(self) -> dict[str, int]:
        return self.inner.special_ids

    def encode_prompt(self, text: str) -> np.ndarray:
        return self.inner.encode_prompt(text)

    def encode_piece(self, piece: str) -> np.ndarray:
        return self.inner.encode_piece(piece)

    def piece_places(self, piece: str) -> np.ndarray:
        return self.inner.piece_places(piece)

    def text_pieces(self, text: str) -> Iterator[str]:
        return self.inner.text_pieces(text)

    def untold(self, text: str, mid_line: bool = False) -> Untold:
        return self.inner.untold(text, mid_line)

    def word_goes_on(self) -> tuple[bytes, bytes]:
        """As in `inner`; no word goes on before or after a special token."""
        before, after = self.inner.word_goes_on()
        special = bytes(self.vocabulary_size - self.inner.vocabulary_size)
        return before + special, after + special

    def decode(self, ids: Ids) -> str:
        return self.inner.decode(ids)

    def symbols(self) -> tuple[str | None, ...]:
        return self.inner.symbols()

    def join(self, parts: Sequence[str]) -> str:
        return self.inner.join(parts)


@dataclass(frozen=True)
class SpecialTokenizer(WrappedTokenizer):
    """A token for each of `roles`, in their order, behind the vocabulary of `inner`.

    No text has them: the letters `<mask>` are letters, and only decoding shows the token as them.
    """

    inner: Tokenizer
    roles: tuple[str, ...]
    kind: ClassVar[str] = "special"

    @property
    def vocabulary_size(self) -> int:
        return self.inner.vocabulary_size + len(self.roles)

    @property
    def description(self) -> str:
        return f"{self.inner.description}, and {len(self.roles)} special tokens"

    @property
    def special_ids(self) -> dict[str, int]:
        first = self.inner.vocabulary_size
        own = {role: first + i for i, role in enumerate(self.roles)}
        return {**self.inner.special_ids, **own}

    def symbols(self) -> tuple[str | None, ...]:
        return (*self.inner.symbols(), *[None] * len(self.roles))

    def extends(self, other: Tokenizer) -> bool:
        if not isinstance(other, SpecialTokenizer):
            return self.inner == other or self.inner.extends(other)
        is_longer = len(self.roles) > len(other.roles)
        starts_alike = self.roles[: len(other.roles)] == other.roles
        return self.inner == other.inner and is_longer and starts_alike

    def decode(self, ids: Ids) -> str:
        first = self.inner.vocabulary_size
        parts: list[str] = []
        for special, run in itertools.groupby(map(int, ids), key=lambda i: i >= first):
            if special:
                parts.extend(f"<{self.roles[i - first]}>" for i in run)
            else:
                parts.append(self.inner.decode(list(run)))
        return self.join(parts)

    def library_json(self) -> str | None:
        from tokenizers import Tokenizer as Library

        inner, tokens = self.inner.library_json(), [f"<{role}>" for role in self.roles]
        library = Library.from_str(inner) if inner else None
        if not library or any(library.token_to_id(token) is not None for token in tokens):
            return None
        library.add_special_tokens(tokens)
        return library.to_str()


@dataclass(frozen=True)
class PairTokenizer(WrappedTokenizer):
    """One tokenizer for the target, which stands for the pair, and another for the source."""

    target_side: Tokenizer
    source_side: Tokenizer
    kind: ClassVar[str] = "pair"

    @property
    def inner(self) -> Tokenizer:
        return self.target_side

    @property
    def target(self) -> Tokenizer:
        return self.target_side

    @property
    def source(self) -> Tokenizer:
        return self.source_side

    @property
    def description(self) -> str:
        return f"{self.target_side.description}; of the source, {self.source_side.description}"


def with_special_tokens(tokenizer: Tokenizer, roles: Sequence[str]) -> Tokenizer:
    """`tokenizer`, of a pair the source's, with special tokens for those `roles` that it lacks."""
    if isinstance(tokenizer, PairTokenizer):
        source_side = with_special_tokens(tokenizer.source_side, roles)
        return PairTokenizer(tokenizer.target_side, source_side)
    lacking = tuple(role for role in roles if tokenizer.special_id(role) is None)
    if not lacking:
        return tokenizer
    if isinstance(tokenizer, SpecialTokenizer):
        return SpecialTokenizer(tokenizer.inner, tokenizer.roles + lacking)
    return SpecialTokenizer(tokenizer, lacking)


def with_unused(tokenizer: Tokenizer, count: int) -> Tokenizer:
    """`tokenizer` with so many entries behind its vocabulary that no text has."""
    roles = (f"unused_{i}" for i in range(MOST_NUMBERED))
    lacking = [role for role in roles if tokenizer.special_id(role) is None]
    return with_special_tokens(tokenizer, lacking[:count])
