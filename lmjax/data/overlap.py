"""Text that stands in more than one split, found by runs of words."""

from collections.abc import Iterable, Iterator

from lmjax.data.documents import Document, Splits

RUN = 13  # words, as Brown et al. (2020), appendix C, take to find test text in training text


def without_shared_paragraphs(splits: Splits) -> tuple[Splits, int]:
    """Splits without the paragraphs that a later split holds, too, and how many they were.

    A paragraph stands between empty lines. It goes if it shares a run of 13 words with a later
    split, or is all of a shorter paragraph there; so test keeps all its text, and train loses most.
    A document of which nothing is left goes, too.
    """
    held: set[tuple[str, ...]] = set()
    kept, dropped = {}, 0
    for split in reversed(splits):
        kept[split] = []
        for document in splits[split]:
            paragraphs = document.text.split("\n\n")
            own = [paragraph for paragraph in paragraphs if held.isdisjoint(_marks(paragraph))]
            dropped += len(paragraphs) - len(own)
            if any(paragraph.strip() for paragraph in own):
                text = "\n\n".join(own).removesuffix("\n") + "\n"
                kept[split].append(Document(document.name, text))
        held.update(mark for document in kept[split] for mark in _document_marks(document))
    return {split: kept[split] for split in splits}, dropped


def _document_marks(document: Document) -> Iterator[tuple[str, ...]]:
    for paragraph in document.text.split("\n\n"):
        yield from _marks(paragraph)


def _marks(paragraph: str) -> Iterable[tuple[str, ...]]:
    """What a paragraph is known by: its runs, or all its words if they are fewer."""
    words = paragraph.split()
    return _runs(words, RUN) if len(words) >= RUN else [tuple(words)] if words else []


def _runs(words: list[str], length: int) -> Iterator[tuple[str, ...]]:
    return zip(*(words[i:] for i in range(length)), strict=False)
