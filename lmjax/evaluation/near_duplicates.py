"""What two texts share, word for word: shingles, and the longest runs with their places.

Shingles are all runs of so many units (Broder 1997): words, or characters for scripts that don't
part them. Upper case counts as lower case; what is between words, or blank, counts not at all.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from lmjax.data.documents import Document
from lmjax.errors import UserError, nearest

UNITS = {"words": re.compile(r"\w+"), "characters": re.compile(r"\S")}


@dataclass(frozen=True)
class Units:
    """The words or characters of a text, as they are compared, and where each stands in it."""

    texts: tuple[str, ...]
    places: tuple[tuple[int, int], ...]  # its first character, and the one after its last

    @classmethod
    def of(cls, text: str, unit: str) -> "Units":
        """Those of a text, of a unit that there is."""
        found = list(UNITS[unit].finditer(text))
        texts = tuple(match[0].casefold() for match in found)
        return cls(texts, tuple(match.span() for match in found))

    def runs(self, size: int) -> Iterator[tuple[str, ...]]:
        """All runs of `size` units; of fewer units than that, all of them as one."""
        size = min(size, len(self.texts))
        return zip(*(self.texts[i:] for i in range(size)), strict=False)


class Overlap(NamedTuple):
    """How many different shingles two texts have, and share."""

    shared: int
    query: int
    document: int

    @property
    def jaccard(self) -> float:
        """The share of all shingles of the two that both have."""
        return self.shared / max(1, self.query + self.document - self.shared)

    @property
    def containment(self) -> float:
        """The share of the query's shingles that the document has."""
        return self.shared / max(1, self.query)


class Span(NamedTuple):
    """A run of units of the query that also stands in the document."""

    length: int
    query: int  # its first unit
    document: int


def overlap(query: Units, document: Units, size: int) -> Overlap:
    """How many shingles of `size` units the two have and share."""
    of_query, of_document = set(query.runs(size)), set(document.runs(size))
    return Overlap(len(of_query & of_document), len(of_query), len(of_document))


def shared_spans(query: Units, document: Units, size: int, count: int) -> list[Span]:
    """The longest runs of at least `size` units that both have, longest first, at most `count`.

    None of them overlap in the query. Of equally long ones the first is taken, at its first place
    in the document.
    """
    starts = defaultdict(list)
    for place, run in enumerate(document.runs(size)):
        starts[run].append(place)
    spans, following = (
        [],
        {},
    )  # of the query's next unit: at which places a run of what length goes on
    runs = list(query.runs(size)) if len(query.texts) >= size else []
    for place in range(len(runs) - 1, -1, -1):
        places = starts.get(runs[place], ())
        here = {start: following.get(start + 1, size - 1) + 1 for start in places}
        if here:
            longest = max(here.values())
            first = min(start for start, length in here.items() if length == longest)
            spans.append(Span(longest, place, first))
        following = here
    kept: list[Span] = []
    for span in sorted(spans, key=lambda span: (-span.length, span.query)):
        if len(kept) == count:
            break
        if all(_apart(span, other) for other in kept):
            kept.append(span)
    return kept


def _apart(one: Span, other: Span) -> bool:
    return one.query + one.length <= other.query or other.query + other.length <= one.query


def described(
    span: Span, query: tuple[Document, Units], document: tuple[Document, Units]
) -> dict[str, Any]:
    """The text of a span as the query has it, and where it stands in both, as JSON takes it."""
    places = {}
    sides = ("query", query, span.query), ("document", document, span.document)
    for side, (text_of, units), first in sides:
        begin, end = units.places[first][0], units.places[first + span.length - 1][1]
        line = text_of.text.count("\n", 0, begin) + 1
        places[side] = {"line": line, "characters": [begin, end]}
    begin, end = places["query"]["characters"]
    return {"length": span.length, "text": query[0].text[begin:end], **places}


@dataclass(frozen=True)
class Match:
    """A document and what it shares with a query."""

    document: Document
    overlap: Overlap
    spans: list[dict[str, Any]]


@dataclass(frozen=True)
class Shingles:
    """How texts are compared: by runs of `size` units, of a shorter query by all of it.

    Of each match as many as `spans` are shown. Raises UserError for an unknown unit, and numbers
    that are too small.
    """

    unit: str = "words"
    size: int = 5
    spans: int = 3

    def __post_init__(self):
        if self.unit not in UNITS:
            raise UserError(f"unknown unit {self.unit!r}: {nearest(self.unit, UNITS)}")
        if self.size < 1 or self.spans < 0:
            raise UserError(f"size is {self.size} and spans {self.spans}; give 1 and 0 or more")

    def overlaps(
        self, queries: Sequence[Document], documents: Sequence[Document]
    ) -> list[list[Overlap]]:
        """Of each query, what each document shares; raises UserError for one without units."""
        given = [self._units(query) for query in queries]
        found: list[list[Overlap]] = [[] for _ in queries]
        for document in documents:
            units = Units.of(document.text, self.unit)
            for row, query in zip(found, given, strict=True):
                row.append(overlap(query, units, min(self.size, len(query.texts))))
        return found

    def match(self, query: Document, document: Document, shared: Overlap) -> Match:
        """A document with the longest runs that a query shares with it."""
        of_query, of_document = self._units(query), Units.of(document.text, self.unit)
        size = min(self.size, len(of_query.texts))
        spans = [
            described(span, (query, of_query), (document, of_document))
            for span in shared_spans(of_query, of_document, size, self.spans)
        ]
        return Match(document, shared, spans)

    def _units(self, query: Document) -> Units:
        units = Units.of(query.text, self.unit)
        if not units.texts:
            raise UserError(
                f"{query.name} has no {self.unit}, so that nothing shares any; give another query"
            )
        return units
