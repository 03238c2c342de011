"""Vectors of words as text files: word2vec's format, and GloVe's, which has no header."""

import gzip
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path

import numpy as np

from lmjax.data.reading import read_bytes
from lmjax.errors import UserError, writing
from lmjax.runs.files import write_atomically

DIGITS = 9  # that give back every number in float32
LARGEST = float(np.finfo(np.float32).max)
SHOWN = 80  # characters of a word
BLANKS = re.compile(r"[ \t\r\n]")
DIGITS_ONLY = re.compile(r"[0-9]{1,12}")


@dataclass(frozen=True)
class WordVectors:
    """V different words and a vector of width D for each."""

    words: tuple[str, ...]
    vectors_VD: np.ndarray  # float32

    @property
    def width(self) -> int:
        return self.vectors_VD.shape[1]

    @cached_property
    def index(self) -> dict[str, int]:
        """The row of each word."""
        return {word: row for row, word in enumerate(self.words)}

    def row_of(self, word: str) -> int | None:
        """The row of a word or, if it has none, of the word in lower case."""
        row = self.index.get(word)
        return self.index.get(word.lower()) if row is None else row

    @cached_property
    def unit_vectors_VD(self) -> np.ndarray:
        """The vectors, each divided by its length; one that is zero stays zero."""
        lengths_V1 = np.linalg.norm(self.vectors_VD, axis=1, keepdims=True)
        return self.vectors_VD / np.where(lengths_V1 > 0, lengths_V1, 1)


def write_word_vectors(path: Path | str, vectors: WordVectors) -> None:
    """Writes word2vec's text format: a line `V D`, then a line for each word; gzip for `.gz`.

    Reading gives back the same numbers, bit for bit. Raises UserError for a word that the format
    cannot hold, since it is empty or has a blank in it, and where the file cannot be written.
    """
    for word in vectors.words:
        if not word or BLANKS.search(word):
            raise UserError(f"the word {word!r} is empty or has a blank in it; leave it out")
    lines = [f"{len(vectors.words)} {vectors.width}\n"]
    pattern = " ".join([f"%.{DIGITS}g"] * vectors.width) + "\n"
    for word, vector_D in zip(vectors.words, vectors.vectors_VD.tolist(), strict=True):
        lines.append(f"{word} {pattern % tuple(vector_D)}")
    content, path = "".join(lines).encode(), Path(path)
    with writing(path):
        write_atomically(path, gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)


def read_word_vectors(path: Path | str) -> WordVectors:
    """The vectors of a file in word2vec's text format or, without its header, in GloVe's.

    A name that ends in `.gz` is gzip. Raises UserError, naming the line, for a vector of another
    width than the one before, a word that is there twice, what is no finite number, text that is no
    UTF-8, and a header that counts other words than there are.
    """
    path = Path(path)
    lines = _lines(read_bytes(path), path)
    first = next(lines)
    counted = _header(first[1])
    width = counted[1] if counted else len(first[1]) - 1
    line_of: dict[str, int] = {}
    vectors: list[np.ndarray] = []
    for number, fields in lines if counted else chain([first], lines):
        word, vector_D = _word_and_vector(fields, width, f"{path}, line {number}")
        if word in line_of:
            raise UserError(
                f"{path}, line {number}: the word {word[:SHOWN]!r} is on line {line_of[word]} "
                "already; leave one of them out"
            )
        line_of[word] = number
        vectors.append(vector_D)
    if counted and counted[0] != len(vectors):
        raise UserError(
            f"{path}: the first line counts {counted[0]:,} words, and there are {len(vectors):,}; "
            "the file is not whole: fetch or export it again"
        )
    if not vectors:
        raise UserError(f"{path} has no vectors; it should have a word and its vector on each line")
    return WordVectors(tuple(line_of), np.stack(vectors))


def _lines(content: bytes, path: Path) -> Iterator[tuple[int, list[str]]]:
    """The number of each line, from 1, and what stands on it between blanks."""
    for number, line in enumerate(content.removesuffix(b"\n").split(b"\n"), start=1):
        try:
            yield number, line.decode().strip("\r ").split(" ")
        except UnicodeDecodeError as error:
            raise UserError(
                f"{path}, line {number}: invalid UTF-8; if this is word2vec's binary format, save "
                "the vectors as text"
            ) from error


def _header(fields: list[str]) -> tuple[int, int] | None:
    """`V, D` of word2vec's first line; None for a line that is not two such numbers."""
    is_header = len(fields) == 2 and all(DIGITS_ONLY.fullmatch(field) for field in fields)
    return (int(fields[0]), int(fields[1])) if is_header else None


def _word_and_vector(fields: list[str], width: int, place: str) -> tuple[str, np.ndarray]:
    """The word, which has blanks in it where the first of too many fields are no numbers."""
    numbers = fields[1:]
    while len(numbers) > width and _number(numbers[0]) is None:
        numbers = numbers[1:]
    if not numbers:
        raise UserError(f"{place}: no numbers after a word; a word and its vector are on one line")
    if len(numbers) != width:
        raise UserError(
            f"{place}: {len(numbers)} numbers after the word, where the width is {width}; mend or "
            "leave out the line"
        )
    vector_D = np.array([_number(field) for field in numbers], np.float32)
    if not np.isfinite(vector_D).all():
        wrong = numbers[int(np.argmin(np.isfinite(vector_D)))]
        raise UserError(f"{place}: {wrong[:SHOWN]!r} is no finite number; mend the line")
    return " ".join(fields[: len(fields) - width]), vector_D


def _number(field: str) -> float | None:
    """What a field is in numbers, if it is a number that float32 can hold."""
    try:
        number = float(field)
    except ValueError:
        return None
    return number if abs(number) <= LARGEST else None
