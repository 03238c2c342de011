"""Sources of training documents that are shown changed, otherwise in each epoch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from lmjax.data.documents import Document
from lmjax.data.near_words import NearWords
from lmjax.data.paraphrases import paraphrases_of, read_paraphrases
from lmjax.data.span_tokenizer import SpanTokenizer
from lmjax.data.streams import TokenStream
from lmjax.data.text_files import content_digest
from lmjax.data.tokenizer import Tokenizer
from lmjax.data.word_changes import CHANGES, OF_NEAR_WORDS, Changing, parse_changes
from lmjax.data.words import Word, WordBorders, Words
from lmjax.errors import UserError

FILES = ("paraphrases", "augmentation_vectors")  # fields of config.data that name them
PARAPHRASE = "paraphrase"  # among the changes that are drawn from


@dataclass(frozen=True)
class AugmentedStream(TokenStream):
    """A training split whose batches are to show sources changed, as `config.data` says."""

    data: Any = None  # config.data
    tokenizer: Tokenizer | None = None  # of the sources
    documents: Callable[[], Sequence[Document]] | None = None  # that its tokens are of

    @cached_property
    def augmentation(self) -> "Augmentation":
        """What changes them; files are read. Raises UserError for one that can't be read."""
        read = Augmentation(self)
        _ = self.file_digests  # of what is read now, not of what lies there at the first checkpoint
        return read

    @cached_property
    def file_digests(self) -> dict[str, str]:
        """As of any stream; raises UserError for a file that can't be read."""
        named = {field: self.data[field] for field in FILES if self.data[field]}
        return {field: content_digest(Path(name).expanduser()) for field, name in named.items()}


def augmented(
    stream: TokenStream, data, tokenizer: Tokenizer, documents: Callable[[], Sequence[Document]]
) -> TokenStream:
    """The training split as `data.augmentation` and `data.paraphrases` say; itself if they don't.

    Raises UserError for fields that cannot be, and for documents without a source, or of which the
    target says where in its source it stands.
    """
    shares = parse_changes(data.augmentation)
    is_near = bool(shares.keys() & set(OF_NEAR_WORDS))
    if is_near != bool(data.augmentation_vectors):
        raise UserError(
            f"data.augmentation is {tuple(data.augmentation)} and data.augmentation_vectors "
            f"{data.augmentation_vectors!r}; insert and replace take near words from a file of "
            "vectors, and no other change does: give both or neither"
        )
    if not shares and not data.paraphrases:
        return stream
    if not 0 < data.augmentation_share <= 1:
        raise UserError(
            f"data.augmentation_share is {data.augmentation_share}; give more than 0 and at most 1"
        )
    if stream.source is None:
        raise UserError(
            "data.augmentation and data.paraphrases change the sources that something is predicted "
            f"from, and the documents of the corpus {data.corpus!r} have none; leave them out, or "
            "choose a corpus of labelled texts or of pairs, such as 'trec'"
        )
    if isinstance(tokenizer.target, SpanTokenizer):
        raise UserError(
            "data.augmentation and data.paraphrases would move the places at which answers stand "
            "in their sources; leave them out"
        )
    reader = tokenizer.source
    if "blank" in shares and _blank_id(reader) is None:
        raise UserError(
            "data.augmentation has 'blank', and the tokenizer of the sources has no token for what "
            "is unknown or hidden; set data.special_tokens=('mask',)"
        )
    given = {field.name: getattr(stream, field.name) for field in fields(TokenStream)}
    return AugmentedStream(**given, data=data, tokenizer=reader, documents=documents)


def _blank_id(tokenizer: Tokenizer) -> int | None:
    return tokenizer.special_id("mask") if tokenizer.unknown_id is None else tokenizer.unknown_id


class Augmentation:
    """The sources of documents as they are shown.

    `data.augmentation_share` of them are changed, by one of the changes of `data.augmentation`, or
    by a paraphrase if there is one of the document (Wei and Zou 2019, section 2). Changed are
    words; special tokens stay where they are, and what stands between them is changed by itself. A
    source that would be longer than `data.source_length` is shown as it is.
    """

    def __init__(self, stream: AugmentedStream):
        data, tokenizer = stream.data, stream.tokenizer
        self._source, self._share = stream.source, data.augmentation_share
        self._longest = data.source_length
        self._shares = parse_changes(data.augmentation)
        self._borders = WordBorders(tokenizer)
        self._near = lambda word: ()
        if data.augmentation_vectors:
            self._near = NearWords(data.augmentation_vectors, tokenizer)
        self._blank = (_blank_id(tokenizer),)
        self._paraphrases, self._remarks = {}, []
        if data.paraphrases:
            self._paraphrases = self._encoded_paraphrases(stream)

    def shown(self, document: int, generator: np.random.Generator) -> np.ndarray:
        """`ids_S` of the document's source."""
        starts_M = self._source.document_starts_M
        end = starts_M[document + 1] if document + 1 < len(starts_M) else None
        ids_S = np.asarray(self._source.tokens_N[starts_M[document] : end])
        if generator.random() >= self._share:
            return ids_S
        paraphrases = self._paraphrases.get(document, [])
        names = [*self._shares, *[PARAPHRASE] * bool(paraphrases)]
        if not names:
            return ids_S
        name = names[generator.integers(len(names))]
        if name == PARAPHRASE:
            return paraphrases[generator.integers(len(paraphrases))]
        changed_S = self._changed(ids_S, name, generator)
        return changed_S if len(changed_S) <= self._longest else ids_S

    def remarks(self) -> list[str]:
        """What is changed, how often, and which words and documents it can't be done for."""
        named = [f"{name}={share:g}" for name, share in self._shares.items()]
        named += [PARAPHRASE] * bool(self._paraphrases)
        line = f"{100 * self._share:g} % of the sources of an epoch are shown changed, each by "
        lines = [line + (f"one of {', '.join(named)}" if len(named) > 1 else named[0])]
        if isinstance(self._near, NearWords):
            words = self._words()
            count = sum(map(self._near.has, words))
            lines.append(f"{count:,} of their {len(words):,} different words have a vector")
        return lines + self._remarks

    def _words(self) -> set[Word]:
        """The different words of all sources, as near ones are looked up for them."""
        borders = self._borders
        rows = np.split(self._source.tokens_N, self._source.document_starts_M[1:])
        parts = (
            words for ids_S in rows for words, is_special in borders.parts(ids_S) if not is_special
        )
        return {word for words in parts for word in borders.as_inner(words)}

    def _changed(self, ids_S: np.ndarray, name: str, generator: np.random.Generator) -> np.ndarray:
        by, borders = Changing(generator, self._near, self._blank), self._borders
        words: Words = []
        for part, is_special in borders.parts(ids_S):
            if not is_special:
                part = CHANGES[name](borders.as_inner(part), self._shares[name], by)
                part = borders.as_first(part)
            words += part
        return np.fromiter(chain.from_iterable(words), np.int32)

    def _encoded_paraphrases(self, stream: AugmentedStream) -> dict[int, list[np.ndarray]]:
        """`ids_S` of the paraphrases of each document; what is left out is kept to be said.

        Of a pair it is the first text that has paraphrases.
        """
        file, documents = stream.data.paraphrases, stream.documents()
        sources, found = [document.source for document in documents], read_paraphrases(file)
        matched = paraphrases_of(sources, found, file)
        encode = stream.tokenizer.encode_source
        encoded = {
            place: [
                encode(text, documents[place].second, stream.data.cut_sources) for text in texts
            ]
            for place, texts in matched.items()
        }
        fitting = {
            place: [ids_S for ids_S in texts if len(ids_S) <= self._longest]
            for place, texts in encoded.items()
        }
        total = sum(map(len, encoded.values()))
        left_out = total - sum(map(len, fitting.values()))
        unmatched = len(found) - len({sources[place].strip() for place in matched})
        self._remarks = [
            f"{len(matched):,} of {len(sources):,} training documents have {total:,} paraphrases, "
            f"of which {left_out:,} are left out as longer than data.source_length "
            f"{self._longest}; {unmatched:,} sources of {file} are of no training document"
        ]
        return fitting
