"""A document, and how documents become the splits train, validation and test."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

from lmjax.errors import UserError

SPLITS = ("train", "validation", "test")
FEWEST_BY_NAME = 100  # with fewer documents a split by name would be too uneven
LEAST_CHARACTERS = 2000  # of what is split by position: 5 % of it are two lines


@dataclass(frozen=True)
class Document:
    """One text of a corpus, and a name that does not depend on the machine that holds it.

    A text that is to be predicted from another one, such as a translation, has that as its source,
    or two: its source and its `second`; where others would do as well, these are its further
    references. One that is to be found in its second text has `begin`, the character of that at
    which it stands.
    """

    name: str
    text: str
    source: str | None = None
    second: str | None = None
    further_references: tuple[str, ...] = ()
    begin: int | None = None

    @property
    def references(self) -> tuple[str, ...]:
        """All texts that what is predicted may be compared with."""
        return self.text, *self.further_references

    @property
    def source_parts(self) -> tuple[str, ...]:
        """The texts that it is to be predicted from: none, one or two."""
        return tuple(text for text in (self.source, self.second) if text is not None)


Splits = dict[str, list[Document]]


def split_by_name(documents: list[Document]) -> Splits:
    """About 90/5/5 % of the documents by a hash of their names, so that new ones move no others."""
    splits: Splits = {split: [] for split in SPLITS}
    for document in documents:
        splits[split_of(document.name)].append(document)
    return splits


def split_of(key: str) -> str:
    """The split of what has that key: of all keys 90, 5 and 5 %, by their hash."""
    place = percentile(key)
    return SPLITS[(place >= 90) + (place >= 95)]


def percentile(key: str) -> int:
    """From 0 to 99, by a hash of the key, so that it is the same in every process."""
    return int(hashlib.sha256(key.encode()).hexdigest(), 16) % 100


def split_by_position(documents: list[Document]) -> Splits:
    """The first 90 %, the next 5 % and the last 5 % of the characters, cut after a line's end.

    Where no line ends within a further 2 % of the characters, the cut falls inside the line.
    """
    characters = _characters(documents)
    first_cut = _line_border(documents, characters * 90 // 100, characters // 50)
    second_cut = _line_border(documents, characters * 95 // 100, characters // 50)
    borders = (0, first_cut, second_cut, characters)
    return {
        split: list(_between(documents, borders[i], borders[i + 1]))
        for i, split in enumerate(SPLITS)
    }


def split_files(files: list[list[Document]]) -> tuple[Splits, Counter]:
    """The documents of each file in splits, and how many of which were split how.

    By name where there are many documents. Else each file by position, so that no file, and no
    language of which there is but one file, stands in one split alone. Files too short for that are
    split by position as if they were one; if all of them are too short for that, too, they go into
    train.
    """
    documents = [document for file in files for document in file]
    splits = split_by_name(documents)
    if len(documents) >= FEWEST_BY_NAME and all(splits.values()):
        return splits, Counter(documents_split_by_name=len(documents))
    long = [file for file in files if _characters(file) >= LEAST_CHARACTERS]
    short = [file for file in files if _characters(file) < LEAST_CHARACTERS]
    together = [document for file in short for document in file]
    report = Counter(files_split_each_by_position=len(long))
    parts = [split_by_position(file) for file in long]
    if not long or _characters(together) >= LEAST_CHARACTERS:
        parts.append(split_by_position(together))
        report["short_files_split_as_one"] = len(short)
    elif short:
        parts.append({"train": together, "validation": [], "test": []})
        report["short_files_in_train"] = len(short)
    return {split: sum((part[split] for part in parts), []) for split in SPLITS}, report


def _characters(documents: list[Document]) -> int:
    return sum(len(document.text) for document in documents)


def with_fold(splits: Splits, folds: int, fold: int) -> Splits:
    """The splits with one of so many folds of what is not test as validation, the rest as train.

    Together stay documents of one source, of pairs both of whose texts are equal, or whose answers
    stand in one text, and of those without a source the ones of one name, which are parts of one.
    What is alike otherwise, such as two paragraphs of an article, may be parted. These groups are
    dealt to the folds in the order of their keys' hashes, so that each has as many, or one more.
    Raises UserError if there are fewer groups than folds.
    """
    groups: dict[str, list[Document]] = {}
    for document in splits["train"] + splits["validation"]:
        groups.setdefault(_fold_key(document), []).append(document)
    if len(groups) < folds:
        raise UserError(
            f"data.folds is {folds}, but of the {len(groups)} different documents or sources "
            "beside test each fold must have one; give fewer folds, or a corpus of more documents"
        )
    dealt = sorted(groups, key=lambda key: hashlib.sha256(key.encode()).digest())
    held_out = set(dealt[fold::folds])
    train = [document for key in groups if key not in held_out for document in groups[key]]
    validation = [document for key in groups if key in held_out for document in groups[key]]
    return {**splits, "train": train, "validation": validation}


def _fold_key(document: Document) -> str:
    """What documents have in common that stay together: text of the answer, source, or name."""
    if document.begin is not None:
        return document.second
    return "\0".join(document.source_parts) or document.name


def spread_share(documents: list[Document], share: float) -> list[Document]:
    """About that share of the documents, spread evenly; of one alone its first lines.

    Raises UserError if that is none.
    """
    if len(documents) == 1 and documents[0].source is None:
        text = documents[0].text
        end = _line_border(documents, int(len(text) * share), len(text))
        kept = [replace(documents[0], text=text[:end])] if end else []
    else:
        kept = [
            document
            for index, document in enumerate(documents)
            if int((index + 1) * share) > int(index * share)
        ]
    if documents and not kept:
        raise UserError(
            f"data.train_share {share} leaves none of {len(documents)} training documents; raise it"
        )
    return kept


def _line_border(documents: list[Document], position: int, slack: int) -> int:
    """The first end of a line or document at most `slack` after `position`, else `position`."""
    begin = 0
    for document in documents:
        end = begin + len(document.text)
        if begin < position < end:
            last = position - begin - 1
            newline = document.text.find("\n", last, last + slack + 1)
            border = begin + newline + 1 if newline >= 0 else end
            return border if border <= position + slack else position
        begin = end
    return position


def _between(documents: list[Document], begin: int, end: int) -> Iterator[Document]:
    position = 0
    for document in documents:
        piece = document.text[max(begin - position, 0) : max(end - position, 0)]
        position += len(document.text)
        if piece:
            yield Document(document.name, piece)
