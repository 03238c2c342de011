"""A split as one long row of tokens on disk, with what a score needs to know about its text."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

import numpy as np

from lmjax.data.cache import key_of
from lmjax.data.tokenizer import Tokenizer, split_text, utf8
from lmjax.errors import UserError
from lmjax.runs.files import inside

SUFFIXES = ("tokens", "starts")  # of the files of a split


@dataclass(frozen=True)
class Counts:
    """What a split's total of nats may be divided by."""

    tokens: int = 0  # all targets
    words: int = 0  # between whitespace, without <eos>
    bytes: int = 0  # of the text in UTF-8
    characters: int = 0
    unknowns: int = 0  # tokens that are <unk>
    ends_of_line: int = 0
    documents: int = 0


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


def stream_of(
    texts: Iterable[str], tokenizer: Tokenizer, document_end: bool = False
) -> TokenStream:
    """The stream of a few documents, in memory; raises UserError if they hold no token."""
    pieces: list[np.ndarray] = []
    starts_M, counts, fingerprint = _encode(texts, tokenizer, document_end, pieces.append)
    tokens_N = np.concatenate(pieces)
    return TokenStream(tokens_N, starts_M, counts, fingerprint, tokenizer.start_id)


def write_stream(
    folder: Path, split: str, texts: Iterable[str], tokenizer: Tokenizer, document_end: bool
) -> dict[str, Any]:
    """Writes `<split>.tokens` and `<split>.starts`; returns, for JSON, what else a stream has.

    Raises UserError if the texts hold no token.
    """
    with open(folder / f"{split}.tokens", "wb") as file:
        starts_M, counts, fingerprint = _encode(
            texts, tokenizer, document_end, lambda ids_N: file.write(ids_N.data)
        )
    starts_M.tofile(folder / f"{split}.starts")
    digests = {suffix: _digest(folder / f"{split}.{suffix}") for suffix in SUFFIXES}
    return {"counts": asdict(counts), "fingerprint": fingerprint, "sha256": digests}


def read_stream(folder: Path, split: str, described: dict[str, Any], start_id: int) -> TokenStream:
    """The stream that `write_stream` wrote, memory-mapped; raises UserError if it is damaged."""
    counts = Counts(**{count.name: described["counts"][count.name] for count in fields(Counts)})
    tokens_N = _map(inside(folder, f"{split}.tokens"), np.int32, counts.tokens)
    starts_M = _map(inside(folder, f"{split}.starts"), np.int64, counts.documents)
    for suffix in SUFFIXES:
        if _digest(folder / f"{split}.{suffix}") != described["sha256"][suffix]:
            raise _damaged(folder / f"{split}.{suffix}")
    if starts_M[0] != 0 or (np.diff(starts_M, append=counts.tokens) < 0).any():
        raise _damaged(folder / f"{split}.starts")
    return TokenStream(tokens_N, starts_M, counts, described["fingerprint"], start_id)


def _encode(
    texts: Iterable[str],
    tokenizer: Tokenizer,
    document_end: bool,
    write: Callable[[np.ndarray], Any],
) -> tuple[np.ndarray, Counts, str]:
    """`document_starts_M, counts, fingerprint` of the tokens that are passed on to `write`."""
    starts: list[int] = []
    counts: Counter = Counter()
    digest = sha256()
    for text in texts:
        starts.append(counts["tokens"])
        last_id = None
        for piece in tokenizer.text_pieces(text):
            ids_N = tokenizer.encode_piece(piece)
            write(ids_N)
            counts["tokens"] += len(ids_N)
            counts["unknowns"] += int(np.count_nonzero(ids_N == tokenizer.unknown_id))
            last_id = ids_N[-1] if len(ids_N) else last_id
        if document_end and last_id != tokenizer.end_id:
            write(np.array([tokenizer.end_id], np.int32))
            counts["tokens"] += 1
        content = utf8(text)
        digest.update(f"{len(content)}:".encode() + content)
        counts["bytes"] += len(content)
        counts["characters"] += len(text)
        counts["words"] += sum(len(piece.split()) for piece in split_text(text, keep_words=True))
        counts["ends_of_line"] += text.count("\n")
    if not counts["tokens"]:
        raise UserError("there is no text to make tokens of; check data.corpus and data.cleaning")
    tokens_key = key_of([tokenizer.to_json(), document_end])
    fingerprint = f"{digest.hexdigest()[:16]}-{tokens_key}"
    return np.array(starts, np.int64), Counts(documents=len(starts), **counts), fingerprint


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
