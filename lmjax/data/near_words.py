"""Words near to a word of a text, by vectors from a file."""

from functools import cached_property
from pathlib import Path

import numpy as np

from lmjax.data.tokenizer import Tokenizer
from lmjax.data.word_tokenizer import END_OF_LINE, UNKNOWN_WORD
from lmjax.data.word_vectors import WordVectors, read_word_vectors
from lmjax.data.words import Word
from lmjax.errors import UserError

MOST_WORDS = 50_000  # the first of a file, which are its most frequent
NEAREST = 10
NO_WORDS = (END_OF_LINE, UNKNOWN_WORD)  # which have vectors, too


class NearWords:
    """The NEAREST words of each word that has a vector, by cosine (Wang and Yang 2015).

    Words are tokens of `tokenizer`; those that it does not know are near to none. Raises UserError
    for a file that can't be read.
    """

    def __init__(self, file: str, tokenizer: Tokenizer):
        path = Path(file).expanduser()
        if path.is_dir():
            raise UserError(
                f"data.augmentation_vectors {file!r} is a folder; give a file of vectors, which "
                f"'lmjax vectors export --workdir={file} --output=FILE' makes of a run's"
            )
        self._tokenizer, self._found = tokenizer, {}
        vectors = read_word_vectors(path)
        self._vectors = WordVectors(vectors.words[:MOST_WORDS], vectors.vectors_VD[:MOST_WORDS])

    def __call__(self, word: Word) -> list[Word]:
        """The near words of a word, the nearest first; none if it has no vector."""
        if word not in self._found:
            self._found[word] = self._search(word)
        return self._found[word]

    def has(self, word: Word) -> bool:
        """Whether a word has a vector."""
        return self._row(word) is not None

    def _row(self, word: Word) -> int | None:
        if self._tokenizer.unknown_id in word:
            return None
        return self._vectors.row_of(self._tokenizer.decode(word).strip())

    def _search(self, word: Word) -> list[Word]:
        row, before = self._row(word), self._before(self._tokenizer.decode(word), word)
        if row is None or before is None:
            return []
        units_VD = self._vectors.unit_vectors_VD
        cosines_V = np.where(self._is_known, units_VD @ units_VD[row], -np.inf)
        cosines_V[row] = -np.inf
        nearest = np.argpartition(-cosines_V, min(NEAREST, len(cosines_V)) - 1)[:NEAREST]
        nearest = nearest[np.lexsort((nearest, -cosines_V[nearest]))]
        words = (self._vectors.words[i] for i in nearest if cosines_V[i] > 0)
        return [tuple(self._tokenizer.encode(before + found).tolist()) for found in words]

    def _before(self, text: str, word: Word) -> str | None:
        """What stands before a word's letters, so that a near one is encoded in its place."""
        blank = text[: len(text) - len(text.lstrip())]
        for before in (blank, ""):
            if tuple(self._tokenizer.encode(before + text.strip()).tolist()) == word:
                return before
        return None

    @cached_property
    def _is_known(self) -> np.ndarray:
        return np.array(
            [
                word not in NO_WORDS and not self._tokenizer.untold(word).unknowns
                for word in self._vectors.words
            ]
        )
