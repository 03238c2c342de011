"""Cleaning as named steps: off unless asked for, in the order asked for, each with a report."""

import functools
import re
import sys
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from html import unescape

from lmjax.data import word_lists
from lmjax.data.documents import Document, Splits
from lmjax.data.messages import message_footers, message_headers, message_quotes
from lmjax.errors import UserError, nearest

BLOCK = frozenset(word_lists.BLOCK_ELEMENTS.split())
INLINE = frozenset(word_lists.INLINE_ELEMENTS.split())
MARKUP = re.compile(
    r"<!--.*?(?:-->|\Z)|<!doctype[^<>]*>"
    r"|<(?P<hidden>script|style)\b[^<>]*>.*?(?:</(?P=hidden)\s*>|\Z)"
    r"|</?(?P<element>[a-z][a-z0-9]*)(?:\s[^<>]*)?/?>",
    re.IGNORECASE | re.DOTALL,
)
STOP_WORD = re.compile(
    rf"(?<![\w'’-])(?:{'|'.join(word_lists.STOP_WORDS.split())})(?![\w'’-])[ \t]*", re.IGNORECASE
)


@dataclass(frozen=True)
class StepReport:
    """What one step did to all documents of a corpus; a removed document is a changed one."""

    step: str
    documents_before: int
    documents_after: int
    documents_changed: int
    characters_before: int
    characters_after: int


def nfc(text: str) -> str:
    """Unicode normalization form C: one code point where letter and accent can be one."""
    return unicodedata.normalize("NFC", text)


def whitespace(text: str) -> str:
    """One space between words, none at the ends of lines, at most one empty line in a row."""
    lines = (" ".join(line.split()) for line in text.split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines))


def lowercase(text: str) -> str:
    """Unicode lower case."""
    return text.lower()


def html(text: str) -> str:
    """Without the tags of HTML elements, comments, scripts and styles; entities as characters.

    A block's tag becomes a line end. What is no HTML element, such as `<unk>`, stays.
    """
    return unescape(MARKUP.sub(_without_markup, text))


def punctuation(text: str) -> str:
    """Without the characters of the Unicode categories P*."""
    return text.translate(_no_punctuation())


def stop_words(text: str) -> str:
    """Without English function words, and without the blanks that follow them."""
    return STOP_WORD.sub("", text)


def deduplicate(splits: Splits) -> Splits:
    """Each text once: the first copy in test, else in validation, else in train.

    So no text that is evaluated on is trained on.
    """
    seen: set[tuple[str, ...]] = set()
    kept = {}
    for split in reversed(splits):
        kept[split] = []
        for document in splits[split]:
            text = document.text, *document.source_parts
            if text not in seen:
                kept[split].append(document)
            seen.add(text)
    return {split: kept[split] for split in splits}


TEXT_STEPS: dict[str, Callable[[str], str]] = {
    step.__name__: step
    for step in (
        nfc,
        whitespace,
        lowercase,
        html,
        punctuation,
        stop_words,
        message_headers,
        message_footers,
        message_quotes,
    )
}
CLEANING_STEPS = (*TEXT_STEPS, "deduplicate")


def named_steps(cleaning: tuple[str, ...]) -> tuple[str, ...]:
    """The steps that are named.

    Raises UserError for what names no steps, and, with the nearest name, for one that does not
    exist.
    """
    if not isinstance(cleaning, tuple | list) or not all(isinstance(s, str) for s in cleaning):
        raise UserError(
            f"data.cleaning is {cleaning!r}; give a tuple of names such as ('nfc',), or () for none"
        )
    for step in cleaning:
        if step not in CLEANING_STEPS:
            raise UserError(f"unknown cleaning step {step!r}: {nearest(step, CLEANING_STEPS)}")
    return tuple(cleaning)


def clean_text(text: str, steps: tuple[str, ...]) -> str:
    """A text by itself after the `steps`, of which `deduplicate` changes none."""
    for step in named_steps(steps):
        text = TEXT_STEPS[step](text) if step in TEXT_STEPS else text
    return text


def clean(
    splits: Splits, steps: tuple[str, ...], sources_alone: bool = False
) -> tuple[Splits, list[StepReport]]:
    """The documents after all `steps`, and what each step changed.

    `sources_alone`: their texts are labels or numbers, which only `deduplicate` looks at.
    """
    reports = []
    for step in named_steps(steps):
        if step == "deduplicate":
            cleaned = deduplicate(splits)
        else:
            cleaned = _each(splits, TEXT_STEPS[step], sources_alone)
        reports.append(_report(step, splits, cleaned))
        splits = cleaned
    return splits, reports


def _each(splits: Splits, step: Callable[[str], str], sources_alone: bool) -> Splits:
    """Every document after a step, without those of whose text or source it left blanks at most.

    Nor are there further references that it left nothing of.
    """

    def stepped(document: Document) -> Document:
        if document.begin is not None:
            raise UserError(
                f"data.cleaning {step.__name__!r} would move the answers that stand at places of a "
                "text; leave it out"
            )
        parts = map(step, document.source_parts)
        further = tuple(filter(None, map(step, document.further_references)))
        text = document.text if sources_alone else step(document.text)
        return Document(document.name, text, *parts, further_references=further)

    return {
        split: [
            document
            for document in map(stepped, documents)
            if all(part.strip() for part in (document.text, *document.source_parts))
        ]
        for split, documents in splits.items()
    }


def _report(step: str, before: Splits, after: Splits) -> StepReport:
    old, new = sum(before.values(), []), sum(after.values(), [])
    return StepReport(
        step=step,
        documents_before=len(old),
        documents_after=len(new),
        documents_changed=len(old) - len(set(old) & set(new)),
        characters_before=sum(len(document.text) for document in old),
        characters_after=sum(len(document.text) for document in new),
    )


def _without_markup(markup: re.Match) -> str:
    element = (markup["element"] or "").lower()
    if element in BLOCK:
        return "\n"
    return markup[0] if element and element not in INLINE else ""


@functools.cache
def _no_punctuation() -> dict[int, None]:
    codes = range(sys.maxunicode + 1)
    return {code: None for code in codes if unicodedata.category(chr(code)).startswith("P")}
