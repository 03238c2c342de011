"""A split as one long row of tokens on disk, with what a score needs to know about its text."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

import numpy as np

from lmjax.data.cache import key_of
from lmjax.data.tokenizer import Tokenizer, split_text, utf8
from lmjax.errors import UserError
from lmjax.runs.files import inside

Parts = tuple[str, ...]  # a document as its texts: one, or the two of a pair

SUFFIXES = ("tokens", "starts", "segments")  # of the files of a split
SEGMENT_CHARACTERS = 4096  # after which a long document's segment ends, at the end of a word
MOST_SEGMENTS = 4096  # of a split; of more, neighbours are put together


@dataclass(frozen=True)
class Counts:
    """What a split's total of nats may be divided by."""

    tokens: int = 0  # all targets
    words: int = 0  # between whitespace, without <eos>
    bytes: int = 0  # of the text in UTF-8
    characters: int = 0
    unknowns: int = 0  # targets that the vocabulary lacks
    dropped_bytes: int = 0  # of whitespace, case and accents that the tokens don't give back
    ends_of_line: int = 0
    documents: int = 0
    segments: int = 0
    cut_documents: int = 0  # whose end was left out, of sources


@dataclass(frozen=True)
class Segments:
    """G runs of a stream, whose borders are the text's, so that they are of equal text whatever the
    tokenizer: each document, in parts of about SEGMENT_CHARACTERS, to the end of a word, if long.
    """

    starts_G: np.ndarray  # int64, the first target; where a segment has no target, the next one's
    bytes_G: np.ndarray  # int64, of the text
    spelled_G: np.ndarray  # int64, symbols that spell what the tokens don't tell

    @classmethod
    def of_rows(cls, rows_GC: list[tuple[int, int, int]]) -> "Segments":
        """Of `(start, bytes, spelled)` of each, at most MOST_SEGMENTS of them."""
        starts_G, bytes_G, spelled_G = np.array(rows_GC, np.int64).reshape(-1, 3).T
        kept = slice(None, None, max(1, -(-len(starts_G) // MOST_SEGMENTS)))
        firsts_G = np.arange(len(starts_G))[kept]
        sums = (np.add.reduceat(column, firsts_G) for column in (bytes_G, spelled_G))
        return cls(starts_G[kept], *sums)

    def tokens_G(self, tokens: int) -> np.ndarray:
        """The targets of each, of a stream of so many."""
        return np.diff(self.starts_G, append=tokens)

    def of_targets(self, places_N: np.ndarray) -> np.ndarray:
        """The segment of each of the targets at these places of the stream."""
        return np.searchsorted(self.starts_G, places_N, side="right") - 1


@dataclass(frozen=True)
class TokenStream:
    """The tokens of a split in one row; a model that has read `start_id` is scored on all of them.

    The `fingerprint` is `<text>-<tokens>`: two digests, of which the first is equal for equal
    documents whatever the tokenizer, and both only if also the tokenizer is the same.
    """

    tokens_N: np.ndarray  # int32
    document_starts_M: np.ndarray  # int64, where each document begins; the first is 0
    counts: Counts
    fingerprint: str
    start_id: int
    segments: Segments
    source: "TokenStream | None" = None  # of the documents that these are predicted from

    @property
    def file_digests(self) -> dict[str, str]:
        """Of each file that its batches are made of beside the corpus, by the field of it."""
        return {}

    @property
    def segment_columns(self) -> dict[str, list]:
        """What a score is to say of each segment beside its counts."""
        return {}


def with_source(target: TokenStream, source: TokenStream) -> TokenStream:
    """The targets with the source of each; their fingerprint then tells of both."""
    of_both = zip(target.fingerprint.split("-"), source.fingerprint.split("-"), strict=True)
    fingerprint = "-".join(key_of(list(digests)) for digests in of_both)
    return replace(target, source=source, fingerprint=fingerprint)


def stream_of(
    texts: Iterable[str], tokenizer: Tokenizer, document_end: bool = False
) -> TokenStream:
    """The stream of a few documents, in memory; raises UserError if they hold no token."""
    end_id = tokenizer.end_id if document_end else None
    return _stream(((text,) for text in texts), tokenizer, end_id)


def source_stream_of(sources: Iterable[Parts], tokenizer: Tokenizer) -> TokenStream:
    """As `stream_of`, of sources in the tokenizer of sources; each of one text or of two."""
    return _stream(sources, tokenizer, tokenizer.source_end_id)


def _stream(documents: Iterable[Parts], tokenizer: Tokenizer, end_id: int | None) -> TokenStream:
    pieces: list[np.ndarray] = []
    starts_M, segments, counts, fingerprint = _encode(documents, tokenizer, end_id, pieces.append)
    tokens_N = np.concatenate(pieces)
    return TokenStream(tokens_N, starts_M, counts, fingerprint, tokenizer.start_id, segments)


def write_stream(
    folder: Path, split: str, texts: Iterable[str], tokenizer: Tokenizer, document_end: bool
) -> dict[str, Any]:
    """Writes the tokens, starts and segments of a split; returns, for JSON, what else it has.

    Raises UserError if the texts hold no token.
    """
    end_id = tokenizer.end_id if document_end else None
    return _write(folder, split, ((text,) for text in texts), tokenizer, end_id)


def write_source_stream(
    folder: Path, split: str, sources: Iterable[Parts], tokenizer: Tokenizer, longest: int = 0
) -> dict[str, Any]:
    """As `write_stream`, of the sources of a split in the tokenizer of sources.

    Of one of more than `longest` tokens the end is left out; 0: of none.
    """
    end_id = tokenizer.source_end_id
    return _write(folder, f"{split}.source", sources, tokenizer, end_id, longest)


def _write(
    folder: Path,
    split: str,
    documents: Iterable[Parts],
    tokenizer: Tokenizer,
    end_id: int | None,
    longest: int = 0,
) -> dict[str, Any]:
    with open(folder / f"{split}.tokens", "wb") as file:
        starts_M, segments, counts, fingerprint = _encode(
            documents, tokenizer, end_id, lambda ids_N: file.write(ids_N.data), longest
        )
    starts_M.tofile(folder / f"{split}.starts")
    np.stack(list(vars(segments).values())).tofile(folder / f"{split}.segments")
    digests = {suffix: _digest(folder / f"{split}.{suffix}") for suffix in SUFFIXES}
    return {"counts": asdict(counts), "fingerprint": fingerprint, "sha256": digests}


def read_stream(folder: Path, split: str, described: dict[str, Any], start_id: int) -> TokenStream:
    """The stream that `write_stream` wrote, memory-mapped; raises UserError if it is damaged."""
    counts = Counts(**{count.name: described["counts"][count.name] for count in fields(Counts)})
    tokens_N = _map(inside(folder, f"{split}.tokens"), np.int32, counts.tokens)
    starts_M = _map(inside(folder, f"{split}.starts"), np.int64, counts.documents)
    columns_CG = _map(inside(folder, f"{split}.segments"), np.int64, 3 * counts.segments)
    segments = Segments(*columns_CG.reshape(3, -1))
    for suffix in SUFFIXES:
        if _digest(folder / f"{split}.{suffix}") != described["sha256"][suffix]:
            raise _damaged(folder / f"{split}.{suffix}")
    for suffix, begins_K in (("starts", starts_M), ("segments", segments.starts_G)):
        if begins_K[0] != 0 or (np.diff(begins_K, append=counts.tokens) < 0).any():
            raise _damaged(folder / f"{split}.{suffix}")
    if segments.bytes_G.sum() != counts.bytes:
        raise _damaged(folder / f"{split}.segments")
    return TokenStream(tokens_N, starts_M, counts, described["fingerprint"], start_id, segments)


def _encode(
    documents: Iterable[Parts],
    tokenizer: Tokenizer,
    end_id: int | None,
    write: Callable[[np.ndarray], Any],
    longest: int = 0,
) -> tuple[np.ndarray, Segments, Counts, str]:
    """`document_starts_M, segments, counts, fingerprint` of the tokens that `write` is given.

    Each text of a document ends with `end_id`, if it is one, and between two stands a separator.
    """
    starts: list[int] = []
    segments: list[tuple[int, int, int]] = []
    counts: Counter = Counter()
    digest = sha256()

    def write_one(token: int) -> None:
        write(np.array([token], np.int32))
        counts["tokens"] += 1

    for texts in documents:
        starts.append(counts["tokens"])
        rooms = tokenizer.rooms(texts, longest)
        counts["cut_documents"] += any(room is not None for room in rooms)
        for place, (text, room) in enumerate(zip(texts, rooms, strict=True)):
            if place and end_id != (separator := tokenizer.pair_separator()):
                write_one(separator)
            last_id = None
            for i, part in enumerate(_segments_of(text)):
                untold = tokenizer.untold(part, mid_line=i > 0)
                segments.append((counts["tokens"], len(utf8(part)), untold.symbols))
                for piece in tokenizer.text_pieces(part):
                    ids_N = tokenizer.encode_piece(piece)[:room]
                    room = room if room is None else room - len(ids_N)
                    write(ids_N)
                    counts["tokens"] += len(ids_N)
                    last_id = ids_N[-1] if len(ids_N) else last_id
                counts["unknowns"] += untold.unknowns
                counts["dropped_bytes"] += untold.dropped_bytes
                counts["words"] += len(part.split())
            if end_id is not None and last_id != end_id:
                write_one(end_id)
            content = utf8(text)
            digest.update(f"{len(content)}:".encode() + content)
            counts["bytes"] += len(content)
            counts["characters"] += len(text)
            counts["ends_of_line"] += text.count("\n")
        if len(texts) > 1:
            digest.update(b"pair")
    if not counts["tokens"]:
        raise UserError("there is no text to make tokens of; check data.corpus and data.cleaning")
    tokens_key = key_of([tokenizer.to_json(), end_id is not None, *[longest][: bool(longest)]])
    fingerprint = f"{digest.hexdigest()[:16]}-{tokens_key}"
    table = Segments.of_rows(segments)
    counts.update(documents=len(starts), segments=len(table.starts_G))
    return np.array(starts, np.int64), table, Counts(**counts), fingerprint


def _segments_of(text: str) -> Iterator[str]:
    """The parts of a document whose tokens, put together, are those of the whole; at least one."""
    yield from split_text(text, SEGMENT_CHARACTERS, keep_words=True) if text else [""]


def _map(path: Path, dtype: type, length: int) -> np.ndarray:
    size = length * np.dtype(dtype).itemsize
    if not size or not path.is_file() or path.stat().st_size != size:
        raise _damaged(path)
    return np.memmap(path, dtype, "r")


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _damaged(path: Path) -> UserError:
    return UserError(f"{path} is damaged; delete the folder {path.parent}, to have it made again")
