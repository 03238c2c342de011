"""Paragraphs that two splits share stay in the later one alone."""

from lmjax.data.documents import Document
from lmjax.data.overlap import without_shared_paragraphs

LONG = " ".join(f"word{i}" for i in range(30))


def splits_of(**texts):
    return {split: [Document(split, text)] for split, text in texts.items()}


def texts_of(splits):
    return {split: [document.text for document in part] for split, part in splits.items()}


def test_a_paragraph_goes_where_a_later_split_has_it():
    given = splits_of(
        train=f"own\n\n{LONG}\n\nshort one\n\nlast\n",
        validation="short  one\n\nmine\n",
        test=f"{LONG}\n\nmine\n",
    )
    splits, dropped = without_shared_paragraphs(given)
    assert texts_of(splits) == {
        "train": ["own\n\nlast\n"],
        "validation": ["short  one\n"],
        "test": [f"{LONG}\n\nmine\n"],
    }
    assert dropped == 3


def test_thirteen_words_in_a_row_are_a_repetition_and_twelve_are_not():
    words = LONG.split()
    for shared, kept in ((12, True), (13, False)):
        text = " ".join(["before", *words[:shared], "after", "more", "words"])
        splits, _ = without_shared_paragraphs(splits_of(train=f"x\n\n{text}\n", test=LONG))
        assert (text in splits["train"][0].text) == kept


def test_a_document_that_is_all_repeated_goes():
    splits, dropped = without_shared_paragraphs(splits_of(train=f"{LONG}\n", test=f"{LONG}\n"))
    assert splits["train"] == [] and dropped == 1
    assert texts_of(splits)["test"] == [f"{LONG}\n"]


def test_what_repeats_within_one_split_stays():
    given = splits_of(train=f"{LONG}\n\n{LONG}\n", test="other\n")
    assert without_shared_paragraphs(given) == (given, 0)
