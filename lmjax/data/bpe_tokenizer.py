"""Byte-pair encoding over bytes, learned by the library `tokenizers`."""

import itertools
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from lmjax.data.tokenizer import Ids, Tokenizer, begins, split_text, utf8
from lmjax.errors import UserError
from lmjax.runs.fields import check_fields, is_count, is_text
from lmjax.runs.files import parse_json

DEFAULT_SIZE = 1024
LONG_WORD = 4096  # characters; the library takes the square of a word's length in time


class BytePairs(Tokenizer):
    """Byte pairs of words, cut from the text as GPT-2 does, by a `_library` of merges."""

    @property
    def newline_id(self) -> int:
        return self._library.token_to_id("Ċ")  # how the library writes byte 10

    def text_pieces(self, text: str) -> Iterator[str]:
        return _pieces(text)

    def encode_piece(self, piece: str) -> np.ndarray:
        utf8(piece)
        return np.array(self._library.encode(piece).ids, np.int32)

    def piece_places(self, piece: str) -> np.ndarray:
        return begins(self._library.encode(piece))

    def decode(self, ids: Ids) -> str:
        end_id, newline_id = self.end_id, self.newline_id
        return self._library.decode([newline_id if i == end_id else int(i) for i in ids])


@dataclass(frozen=True)
class BytePairTokenizer(BytePairs):
    """Pieces of words that occur often (Sennrich et al. 2016), over bytes as in GPT-2."""

    model: str  # the library's JSON
    document_end: bool
    kind: ClassVar[str] = "bpe"

    @classmethod
    def train(
        cls, texts: list[str], vocabulary_size: int, document_end: bool
    ) -> "BytePairTokenizer":
        """Merges learned on `texts` until there are `vocabulary_size` entries; 0 stands for 1024.

        There are fewer where the texts have no more pairs. Raises UserError if not every byte
        would have an entry.
        """
        from tokenizers import pre_tokenizers, trainers

        entries = (vocabulary_size or DEFAULT_SIZE) - document_end
        if entries < 256:
            raise UserError(
                f"data.vocabulary_size is {vocabulary_size}; "
                f"bpe needs at least {256 + document_end}, an entry for each byte"
            )
        library = untrained_library()
        trainer = trainers.BpeTrainer(
            vocab_size=entries,
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        )
        library.train_from_iterator(itertools.chain.from_iterable(map(_pieces, texts)), trainer)
        return cls(library.to_str(), document_end)

    def check(self) -> None:
        """Raises UserError if the library's JSON is not such as `train` makes.

        The library itself would take another pipeline, ids without bound and a padding that fills
        the memory.
        """
        source = "the byte pairs"
        try:
            described = parse_json(self.model.encode())
        except ValueError as error:
            raise UserError(f"{source} are not valid JSON ({error}); restore the file") from error
        check_fields(described, {"model": {"vocab": {...: is_count}}}, source)
        untrained = parse_json(untrained_library().to_str().encode())
        vocabulary = described["model"].pop("vocab")
        merges = described["model"].pop("merges", None)
        for given, expected in ((described["model"], untrained["model"]), (described, untrained)):
            for name, value in given.items():
                if name != "model" and value != expected.get(name):
                    shown = repr(name[:80])
                    raise UserError(f"{source} have a {shown} of their own; restore the file")
        if sorted(vocabulary.values()) != list(range(len(vocabulary))):
            raise UserError(f"the ids of {source} do not count from 0; restore the file")
        check_fields(merges, [[is_text]], source, "merges")
        check_pairs(vocabulary.keys(), merges, source)

    @property
    def vocabulary_size(self) -> int:
        return self._library.get_vocab_size() + self.document_end

    @property
    def end_id(self) -> int | None:
        return self._library.get_vocab_size() if self.document_end else None

    def extends(self, other: Tokenizer) -> bool:
        if not isinstance(other, BytePairTokenizer):
            return False
        if other.vocabulary_size >= self.vocabulary_size:
            return False
        ours, theirs = self._library.get_vocab(), other._library.get_vocab()
        if other.document_end and len(ours) > len(theirs):
            return False  # its <eos> has the id of another entry here
        return theirs.items() <= ours.items()

    @cached_property
    def _library(self):
        from tokenizers import Tokenizer as Library

        return Library.from_str(self.model)


def check_pairs(vocabulary: Set[str], merges: Sequence[Sequence[str]], source: str) -> None:
    """Raises UserError if a byte has no entry, or a merge is not of entries into an entry."""
    from tokenizers import pre_tokenizers

    if not vocabulary >= set(pre_tokenizers.ByteLevel.alphabet()):
        raise UserError(f"{source} have no entry for some byte; restore the file")
    if any(len(pair) != 2 or not {*pair, "".join(pair)} <= vocabulary for pair in merges):
        raise UserError(f"a merge of {source} is not of two entries into a third; restore the file")


def untrained_library(model=None):
    """The library's tokenizer with a byte-pair model, by default of no merge."""
    from tokenizers import Tokenizer as Library
    from tokenizers import decoders, models, pre_tokenizers

    library = Library(model or models.BPE())
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    library.decoder = decoders.ByteLevel()
    return library


def _pieces(text: str) -> Iterator[str]:
    return split_text(text, LONG_WORD, keep_words=False)
