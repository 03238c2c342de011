"""Words of a sentence swapped, left out, put in, replaced or hidden (Wei and Zou 2019)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lmjax.data.words import Word, Words
from lmjax.errors import UserError, nearest

Near = Callable[[Word], Sequence[Word]]  # words whose vectors are near that of a word, if any


@dataclass(frozen=True)
class Changing:
    """What a change of words may draw on."""

    generator: np.random.Generator
    near: Near
    blank: Word  # what a hidden word is shown as


def swap(words: Words, share: float, by: Changing) -> Words:
    """Two words exchange their places, as often as `_count` says."""
    changed = list(words)
    for _ in range(_count(words, share) if len(words) > 1 else 0):
        i, j = by.generator.choice(len(words), 2, replace=False)
        changed[i], changed[j] = changed[j], changed[i]
    return changed


def delete(words: Words, share: float, by: Changing) -> Words:
    """Each word is left out with the probability `share`; if all would be, one of them stays."""
    is_kept_N = by.generator.random(len(words)) >= share
    if not is_kept_N.any():
        is_kept_N[by.generator.integers(len(words))] = True
    return [word for word, is_kept in zip(words, is_kept_N, strict=True) if is_kept]


def insert(words: Words, share: float, by: Changing) -> Words:
    """A word near to one of the words stands at any place, as often as `_count` says."""
    changed = list(words)
    for word in _with_near(words, share, by):
        changed.insert(int(by.generator.integers(len(changed) + 1)), _one_near(word, by))
    return changed


def replace(words: Words, share: float, by: Changing) -> Words:
    """As many words as `_count` says are replaced by one that is near each."""
    changed = list(words)
    for index in _places_with_near(words, share, by):
        changed[index] = _one_near(words[index], by)
    return changed


def blank(words: Words, share: float, by: Changing) -> Words:
    """Each word is hidden with the probability `share` (word dropout, Bowman et al. 2016, 3.1)."""
    is_hidden_N = by.generator.random(len(words)) < share
    return [by.blank if hidden else word for word, hidden in zip(words, is_hidden_N, strict=True)]


Change = Callable[[Words, float, Changing], Words]
CHANGES: dict[str, Change] = {
    change.__name__: change for change in (swap, delete, insert, replace, blank)
}
OF_NEAR_WORDS = ("insert", "replace")


def parse_changes(given: Sequence[str]) -> dict[str, float]:
    """The share of each change, of `("swap=0.1", ...)`.

    Raises UserError for an unknown change, one that is there twice, and a share that is none.
    """
    if isinstance(given, str):
        raise UserError(
            f"data.augmentation is {given!r}; give a tuple, and end one of a single entry by a "
            "comma: ('swap=0.1',)"
        )
    shares: dict[str, float] = {}
    for entry in given:
        name, _, share = entry.partition("=")
        if name not in CHANGES:
            raise UserError(f"data.augmentation has no change {name!r}: {nearest(name, CHANGES)}")
        if name in shares:
            raise UserError(f"data.augmentation has {name!r} twice; name it once")
        try:
            shares[name] = float(share)
        except ValueError:
            shares[name] = 0.0
        if not 0 < shares[name] <= 1:
            raise UserError(
                f"data.augmentation has {entry!r}; give the share of the words that it is to "
                f"change, above 0 and at most 1: {name}=0.1"
            )
    return shares


def _count(words: Words, share: float) -> int:
    """How many words are changed: that share of them, and at least one."""
    return max(1, int(share * len(words)))


def _places_with_near(words: Words, share: float, by: Changing) -> list[int]:
    """Places, drawn without replacement, of as many words that have near ones."""
    places = [index for index, word in enumerate(words) if by.near(word)]
    return by.generator.permutation(places)[: _count(words, share)].astype(int).tolist()


def _with_near(words: Words, share: float, by: Changing) -> Words:
    return [words[index] for index in _places_with_near(words, share, by)]


def _one_near(word: Word, by: Changing) -> Word:
    found = by.near(word)
    return found[int(by.generator.integers(len(found)))]
