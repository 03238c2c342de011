"""Byte-pair encoding whose merges were learned elsewhere, such as GPT-2's."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

from lmjax.data.bpe_tokenizer import BytePairs, check_pairs, untrained_library
from lmjax.data.given_tokenizer import GivenTokenizer


@dataclass(frozen=True)
class GivenBytePairTokenizer(GivenTokenizer, BytePairs):
    """GPT-2's way to cut text into byte pairs (Radford et al. 2019), with merges from a file.

    The letters `<|endoftext|>` in a text are letters.
    """

    tokens: tuple[str, ...]  # by their ids, each byte as one printable character
    merges: tuple[str, ...]  # "left right", in the order in which they are made
    special: dict[str, int] = field(hash=False)
    kind: ClassVar[str] = "byte_pairs"

    def check(self) -> None:
        super().check()
        check_pairs(set(self.tokens), list(map(_pair, self.merges)), "the byte pairs")

    @property
    def vocabulary_size(self) -> int:
        return len(self.tokens)

    @cached_property
    def _library(self):
        from tokenizers import models

        vocabulary = {token: i for i, token in enumerate(self.tokens)}
        return untrained_library(models.BPE(vocabulary, list(map(_pair, self.merges))))


def _pair(merge: str) -> tuple[str, ...]:
    return tuple(merge.split(" "))
