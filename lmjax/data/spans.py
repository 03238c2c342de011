"""Where an answer stands: from characters of a text to tokens of a row, and back."""

import re
from collections import Counter
from dataclasses import replace

import numpy as np

from lmjax.data.documents import Document, Splits
from lmjax.data.span_tokenizer import NOWHERE
from lmjax.data.tokenizer import Tokenizer
from lmjax.errors import UserError

WORD = re.compile(r"\s*\S+")


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


def windows(
    document: Document, tokenizer: Tokenizer, length: int, overlap: int
) -> list[tuple[int, Document]]:
    """The document, with as much of its second text as a row of `length` tokens has room for.

    That are windows of the text, of whole words as far as possible, each beginning at least
    `overlap` tokens before the end of the one before. So whatever is no longer than that stands
    whole in one of them. Where the document's text does not stand whole in a window, it is empty
    there. Beside each stands the character at which it begins.

    Raises UserError if the rest of the row leaves too little room.
    """
    others = second_begins(document, tokenizer) + (tokenizer.source_end_id is not None)
    room = length - others
    if room <= overlap:
        raise UserError(
            f"{document.name}: its question ({document.source[:40]!r}...) and what stands between "
            f"take {others} tokens, which leaves {max(room, 0)} of {length} for the text, and "
            f"windows of it share {overlap}; shorten it, raise data.source_length or lower "
            "data.source_overlap"
        )
    cut = borders(document.second, tokenizer, room, overlap)
    return [(begin, _window(document, begin, end)) for begin, end in cut]


def _window(document: Document, begin: int, end: int) -> Document:
    window = replace(document, second=document.second[begin:end])
    if document.begin is None:
        return window
    is_whole = begin <= document.begin and document.begin + len(document.text) <= end
    found = dict(begin=document.begin - begin) if is_whole else dict(begin=None, text="")
    return replace(window, **found)


def borders(text: str, tokenizer: Tokenizer, room: int, overlap: int) -> list[tuple[int, int]]:
    """The characters at which each window of a text begins and ends, as of `windows`."""
    places_N = tokenizer.places(text)
    if len(places_N) <= room:
        return [(0, len(text))]
    # Of no unit more than this, so that beside what it shares a window goes on by one at least.
    longest = max((room - overlap + 1) // 2, 1)
    cuts_N = _cuts(text, places_N, longest)  # before each unit, and the end
    before_N = np.append(np.searchsorted(places_N, cuts_N[:-1]), len(places_N))
    found, first, last = [], 0, 0
    while last < len(cuts_N) - 1:
        last = max(np.searchsorted(before_N, before_N[first] + room, side="right") - 1, first + 1)
        # By themselves, the characters may be cut into more tokens than within the text.
        while last > first + 1 and len(tokenizer.encode(text[cuts_N[first] : cuts_N[last]])) > room:
            last -= 1
        found.append((int(cuts_N[first]), int(cuts_N[last])))
        shared = np.searchsorted(before_N, before_N[last] - overlap, side="right") - 1
        first = max(shared, first + 1)
    return found


def _cuts(text: str, places_N: np.ndarray, longest: int) -> np.ndarray:
    """Before which characters a window may begin: words, and tokens of words of over `longest`."""
    cuts = [0]
    for word in WORD.finditer(text):
        begin, end = word.span()
        first, last = np.searchsorted(places_N, (begin, end))
        cuts += [begin] if last - first <= longest else np.unique(places_N[first:last]).tolist()
    return np.append(np.unique(cuts), len(text))


def place_text(window: Document, tokenizer: Tokenizer) -> str:
    """The places of the first and the last token of the document's text in its source row."""
    if not window.text:
        return f"{NOWHERE} {NOWHERE}"
    end = window.begin + len(window.text)
    first, last = tokens_of(tokenizer.places(window.second), window.begin, end)
    before = NOWHERE + 1 + second_begins(window, tokenizer)
    return f"{before + first} {before + last}"


def second_begins(document: Document, tokenizer: Tokenizer) -> int:
    """How many tokens of the document's source row are before those of its second text."""
    return len(tokenizer.encode_source(document.source, ""))


def in_windows(
    splits: Splits, tokenizer: Tokenizer, length: int, overlap: int
) -> tuple[Splits, Counter]:
    """Windows of all documents, with the places of their texts as texts, and counts.

    Counted are also answers that stand whole in no window, and those that no tokens are the text
    of. `tokenizer` is that of sources. Raises UserError for documents that have no place, and as
    `windows`.
    """
    counts: Counter = Counter()
    found: Splits = {}
    for split, documents in splits.items():
        found[split] = []
        for document in documents:
            if document.begin is None:
                raise UserError(
                    f"the text of {document.name} is not known to stand in its source, which "
                    "data.tokenizer 'span' needs; choose another data.tokenizer, or a corpus of "
                    "questions, such as 'squad'"
                )
            parts = [part for _, part in windows(document, tokenizer, length, overlap)]
            found[split] += [replace(part, text=place_text(part, tokenizer)) for part in parts]
            counts["windows"] += len(parts)
            counts["answers_in_no_window"] += not any(part.text for part in parts)
            counts["answers_of_parts_of_tokens"] += not _comes_back(document, tokenizer)
    return found, counts


def _comes_back(document: Document, tokenizer: Tokenizer) -> bool:
    text, places_N = document.second, tokenizer.places(document.second)
    begin, end = document.begin, document.begin + len(document.text)
    begin, end = characters_of(text, places_N, *tokens_of(places_N, begin, end))
    return text[begin:end] == document.text.strip()
