"""Splits: every character in one of them, in order, and always the same one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmjax.data.documents import (
    SPLITS,
    Document,
    split_by_name,
    split_by_position,
    split_files,
    spread_share,
)
from lmjax.errors import UserError

documents = st.lists(
    st.text("ab\n", min_size=1, max_size=80).map(lambda text: Document("name", text)),
    min_size=1,
    max_size=5,
)


def lines(number, width=9):
    return "".join(f"{i:0{width - 1}d}\n" for i in range(number))


@given(documents)
def test_position_keeps_every_character_in_order(given_documents):
    splits = split_by_position(given_documents)
    joined = "".join(document.text for split in SPLITS for document in splits[split])
    assert joined == "".join(document.text for document in given_documents)


def test_position_cuts_90_5_5_at_ends_of_lines():
    splits = split_by_position([Document("a", lines(700)), Document("b", lines(300))])
    sizes = {split: sum(len(d.text) for d in splits[split]) for split in SPLITS}
    assert sizes == {"train": 8100, "validation": 450, "test": 450}
    splits = split_by_position([Document("a", lines(101, width=10))])
    assert [len(splits[split][0].text) for split in SPLITS] == [910, 50, 50]
    for split in SPLITS:
        assert splits[split][-1].text.endswith("\n")
        assert splits[split][0].text[0] == "0"


def test_one_line_is_cut_inside():
    splits = split_by_position([Document("a", "x" * 1000)])
    assert [len(splits[split][0].text) for split in SPLITS] == [900, 50, 50]


def test_names_split_about_90_5_5_and_stay_where_they_are():
    many = [Document(f"book {i}", "text") for i in range(4000)]
    splits = split_by_name(many)
    assert len(splits["train"]) == pytest.approx(3600, abs=100)
    assert len(splits["validation"]) == pytest.approx(200, abs=60)
    assert len(splits["test"]) == pytest.approx(200, abs=60)
    fewer = split_by_name(many[::2])
    for split in SPLITS:
        assert set(fewer[split]) == set(splits[split]) & set(many[::2])


def sizes_by_name(splits):
    return {
        split: {document.name: len(document.text) for document in splits[split]} for split in SPLITS
    }


def test_many_documents_stay_whole():
    many = [Document(f"book {i}", "text\n") for i in range(200)]
    assert split_files([many]) == (split_by_name(many), {"documents_split_by_name": 200})


def test_each_of_few_files_is_cut_so_that_none_is_in_test_alone():
    """Where the last of two languages would be tested without ever being read."""
    files = [[Document(name, lines(400))] for name in ("english", "french")]
    splits, report = split_files(files)
    assert sizes_by_name(splits) == {
        "train": {"english": 3240, "french": 3240},
        "validation": {"english": 180, "french": 180},
        "test": {"english": 180, "french": 180},
    }
    assert report == {"files_split_each_by_position": 2}
    for split in SPLITS:
        assert all(document.text.endswith("\n") for document in splits[split])


def test_documents_of_one_file_stay_together_where_they_are_few():
    file = [Document(f"a.jsonl:{i}", lines(20)) for i in range(50)]
    splits, _ = split_files([file, [Document("b.txt", lines(400))]])
    assert [document for split in SPLITS for document in splits[split]][:45] == file[:45]
    assert [document.name for document in splits["test"]] == [
        "a.jsonl:47",
        "a.jsonl:48",
        "a.jsonl:49",
        "b.txt",
    ]


def test_short_files_are_one_text_or_in_train():
    short = [[Document(f"note {i}", lines(100))] for i in range(10)]
    splits, report = split_files(short)
    assert splits == split_by_position([document for file in short for document in file])
    assert report["short_files_split_as_one"] == 10
    splits, report = split_files([[Document("book", lines(400))], short[0]])
    assert sizes_by_name(splits)["train"] == {"book": 3240, "note 0": 900}
    assert report == {"files_split_each_by_position": 1, "short_files_in_train": 1}


@given(st.lists(documents, min_size=1, max_size=4))
def test_files_keep_every_character(files):
    splits, _ = split_files(files)
    split = sum(len(document.text) for part in splits.values() for document in part)
    assert split == sum(len(document.text) for file in files for document in file)


@pytest.mark.parametrize(
    ("share", "kept"), [(1.0, "0123456789"), (0.5, "13579"), (0.3, "369"), (0.1, "9")]
)
def test_a_share_of_documents_is_spread_evenly(share, kept):
    documents = [Document(name, "text") for name in "0123456789"]
    assert "".join(document.name for document in spread_share(documents, share)) == kept


@pytest.mark.parametrize(
    ("share", "text"),
    [(1.0, "ab\ncd\nef\n"), (0.5, "ab\ncd\n"), (0.34, "ab\n"), (0.12, "ab\n")],
)
def test_a_share_of_one_document_is_its_first_lines(share, text):
    assert spread_share([Document("a", "ab\ncd\nef\n")], share) == [Document("a", text)]


def test_a_share_that_leaves_nothing_is_refused():
    with pytest.raises(UserError, match="leaves none of 1 training documents"):
        spread_share([Document("a", "text")], 0.1)
    with pytest.raises(UserError, match="leaves none of 1 training documents"):
        spread_share([Document("a", "text", source="source")], 0.5)
    assert spread_share([], 0.5) == []
