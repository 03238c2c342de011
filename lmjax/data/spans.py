"""Where an answer stands: from characters of a text to its tokens, and back."""

import numpy as np


def tokens_of(places_N: np.ndarray, begin: int, end: int) -> tuple[int, int]:
    """The first and the last token of the characters from `begin` to before `end`.

    `places_N` says at which character each token begins. A token that is only partly of them counts
    as one of theirs, and so do all tokens of their last character.
    """
    first_place = places_N[max(np.searchsorted(places_N, begin, side="right") - 1, 0)]
    first = np.searchsorted(places_N, first_place)
    last = np.searchsorted(places_N, end - 1, side="right") - 1
    return int(first), int(max(first, last))


def characters_of(text: str, places_N: np.ndarray, first: int, last: int) -> tuple[int, int]:
    """Where the text of the tokens from `first` to `last` begins and ends, without blanks around.

    The opposite of `tokens_of`.
    """
    begin = int(places_N[first])
    after = np.searchsorted(places_N, places_N[last], side="right")
    end = int(places_N[after]) if after < len(places_N) else len(text)
    part = text[begin:end]
    begin += len(part) - len(part.lstrip())
    return begin, begin + len(part.strip())
