"""Questions about a text, whose answers stand in it: SQuAD, and files of the user in its format."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lmjax.data.documents import SPLITS, Document, Splits, split_of
from lmjax.data.public_files import PublicFile
from lmjax.data.reading import read_bytes
from lmjax.errors import UserError
from lmjax.runs.fields import check_fields, is_count, is_text
from lmjax.runs.files import parse_json

SQUAD = PublicFile(
    "squad/dev-v1.1.json",
    "https://raw.githubusercontent.com/pulakdas1999/QnA_using_BERT/"
    "48925669ea5ebb270348b817d7463b809a381bb9/dev-v1.1.json.zip",
    "95aa6a52d5d6a735563366753ca50492a658031da74f301ac5238b03966972c9",
)
SQUAD_COUNTS = {"articles": 48, "paragraphs": 2_067, "questions": 10_570}
HELD_OUT = 5  # articles of validation, and of test
MOST_BYTES = 1 << 26  # of a file; SQuAD 1.1's training set has 30 MB
FORMAT = {"data": [{"paragraphs": [{"context": is_text, "qas": [{}]}]}]}
QUESTION = {
    "id": is_text,
    "question": is_text,
    "answers": [{"text": is_text, "answer_start": is_count}],
}
CURE = "give a file in SQuAD's format"


def read_squad() -> tuple[Splits, Counter]:
    """SQuAD v1.1's development set (Rajpurkar et al. 2016), divided by article into three splits.

    These are not the official splits: the training set is another file. In the order of the hashes
    of their titles, the first articles are test, the next ones validation.
    """
    articles = parse_json(SQUAD.read())["data"]
    found = Counter(articles=len(articles))
    splits: Splits = {split: [] for split in SPLITS}
    titles = sorted((article["title"] for article in articles), key=_digest)
    for article in articles:
        place = titles.index(article["title"])
        split = SPLITS[2 - (place >= HELD_OUT) - (place >= 2 * HELD_OUT)]
        for paragraph in article["paragraphs"]:
            documents = list(_documents(paragraph))
            splits[split] += documents
            found.update(paragraphs=1, questions=len(documents))
    if found != SQUAD_COUNTS:
        raise UserError(f"squad counts {dict(found)}, published are {SQUAD_COUNTS}; fetch it again")
    return splits, found


def check_file(files: str) -> Path:
    """The user's own file; raises UserError if it is none."""
    if not files:
        raise UserError("the corpus 'questions' needs data.files: a .json file in SQuAD's format")
    file = Path(files).expanduser()
    if not file.is_file():
        raise UserError(f"{file} is no file; check data.files")
    return file


def read_questions(file: Path) -> tuple[Splits, Counter]:
    """The user's own questions, in SQuAD's format, split so that no text stands in two splits.

    Raises UserError for a file that is not of the format, naming the place, for a question without
    an answer, and for an answer that does not stand where it says.
    """
    try:
        described = parse_json(read_bytes(file), most_bytes=MOST_BYTES)
    except ValueError as error:
        raise UserError(f"{file} is not JSON ({error}); {CURE}") from error
    check_fields(described, FORMAT, file, cure=CURE)
    splits: Splits = {split: [] for split in SPLITS}
    report: Counter = Counter()
    for article in described["data"]:
        for paragraph in article["paragraphs"]:
            for number, asked in enumerate(paragraph["qas"], start=report["questions"] + 1):
                check_fields(asked, QUESTION, f"question {number} of {file}", cure=CURE)
            documents = list(_documents(paragraph))
            splits[split_of(paragraph["context"])] += documents
            report.update(paragraphs=1, questions=len(documents))
    for split, part in splits.items():
        _check_split(split, part, report["paragraphs"])
    return splits, report


def _check_split(split: str, part: list[Document], paragraphs: int) -> None:
    if not part:
        raise UserError(
            f"too few texts: {paragraphs:,} leave none for {split}; add some (about 100 do)"
        )


def _documents(paragraph: dict[str, Any]) -> Iterator[Document]:
    """Each question; its text is the answer that most gave, the first of those that as many did."""
    context = paragraph["context"]
    for asked in paragraph["qas"]:
        name, answers = asked["id"], asked["answers"]
        if not asked["question"].strip():
            raise UserError(f"question {name} is empty; write one or leave it out")
        if not answers:
            raise UserError(
                f"question {name} has no answer; only questions are read whose answers stand in "
                "the text, as in SQuAD 1.1"
            )
        for answer in answers:
            text, begin = answer["text"], answer["answer_start"]
            if not text.strip() or context[begin : begin + len(text)] != text:
                raise UserError(
                    f"the answer {text[:80]!r} of question {name} does not stand at character "
                    f"{begin} of its text; correct it"
                )
        given = [(answer["text"], answer["answer_start"]) for answer in answers]
        (text, begin), _ = Counter(given).most_common(1)[0]
        others = [answer for answer, _ in given]
        others.remove(text)
        question = " ".join(asked["question"].split())
        yield Document(name, text, question, context, tuple(others), begin)


def _digest(title: str) -> str:
    return hashlib.sha256(title.encode()).hexdigest()
