"""Where the words of a text begin in its tokens."""

from collections.abc import Callable, Iterator
from itertools import groupby

import numpy as np

from lmjax.data.tokenizer import Tokenizer
from lmjax.data.wordpiece_tokenizer import WITHOUT_SPACES

Word = tuple[int, ...]  # its tokens
Words = list[Word]


class WordBorders:
    """Words in the tokens of a tokenizer.

    A word is the tokens of letters or digits that meet, or another mark by itself, and the blanks
    before it. Chinese and Japanese characters are each a word, and so is each special token.
    """

    def __init__(self, tokenizer: Tokenizer):
        self._tokenizer = tokenizer
        before, after = tokenizer.word_goes_on()
        texts = [tokenizer.decode([id]) for id in range(tokenizer.vocabulary_size)]
        special = {*tokenizer.special_ids.values(), tokenizer.end_id}
        special -= {None, tokenizer.unknown_id}
        self._is_special_V = np.isin(np.arange(len(texts)), list(special))
        is_alone_V = np.array([bool(WITHOUT_SPACES.search(text)) for text in texts])
        self._goes_on_before_V = np.frombuffer(before, bool) & ~is_alone_V
        self._goes_on_after_V = np.frombuffer(after, bool) & ~is_alone_V
        self._is_blank_V = np.array([not text.strip() for text in texts])
        self._has_blanks = tokenizer.encode("a a").tolist() != 2 * tokenizer.encode("a").tolist()

    def parts(self, ids_S: np.ndarray) -> Iterator[tuple[Words, bool]]:
        """Runs of words and of special tokens, and whether they are the latter."""
        words = self.words(ids_S)
        for is_special, run in groupby(words, key=lambda word: bool(self._is_special_V[word[0]])):
            yield list(run), is_special

    def words(self, ids_S: np.ndarray) -> Words:
        """All tokens, word by word."""
        last_S, next_S = ids_S[:-1], ids_S[1:]
        goes_on_S = self._goes_on_after_V[last_S] & self._goes_on_before_V[next_S]
        borders_S = self._is_special_V[last_S] | self._is_special_V[next_S]
        starts_S = np.flatnonzero(borders_S | ~(goes_on_S | self._is_blank_V[last_S])) + 1
        return [tuple(part.tolist()) for part in np.split(ids_S, starts_S) if len(part)]

    def as_inner(self, words: Words) -> Words:
        """Words of which the first has a blank before it, as elsewhere, if words have blanks."""
        return [self._changed(words[0], lambda text: f" {text.lstrip()}"), *words[1:]]

    def as_first(self, words: Words) -> Words:
        """Words of which the first has no blank before it."""
        return [self._changed(words[0], str.lstrip), *words[1:]]

    def _changed(self, word: Word, change: Callable[[str], str]) -> Word:
        """A word after a change of its text; itself, if its text would not give its tokens back."""
        if not self._has_blanks:
            return word
        text = self._tokenizer.decode(word)
        if self._tokenizer.encode(text).tolist() != list(word):
            return word
        return tuple(self._tokenizer.encode(change(text)).tolist())
