"""Cleaning: each step does what its name says, and reports it."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmjax.data.cleaning import CLEANING_STEPS, TEXT_STEPS, clean, named_steps
from lmjax.data.documents import SPLITS, Document
from lmjax.errors import UserError

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


def splits_of(train, validation=(), test=()):
    return {
        split: [Document(f"{split} {i}", text) for i, text in enumerate(part)]
        for split, part in zip(SPLITS, (train, validation, test), strict=True)
    }


def cleaned(text, *steps):
    splits, _ = clean(splits_of([text]), steps)
    return "".join(document.text for document in splits["train"])


@pytest.mark.parametrize(
    ("step", "before", "after"),
    [
        ("nfc", "e\u0301", "é"),
        ("whitespace", " a \t b \n\n\n\nc\u00a0d\n", "a b\n\nc d\n"),
        ("lowercase", "Ab ÀÉ\n", "ab àé\n"),
        ("html", "<p>a &amp; <b>b</b></p>", "\na & b\n"),
        ("html", "x<br/>y<!-- gone -->z<SCRIPT>gone()</SCRIPT>", "x\nyz"),
        ("html", "<unk> 1 < 2 vector<int> &lt;b&gt;", "<unk> 1 < 2 vector<int> <b>"),
        ("punctuation", "It's (so) “done”, <unk>!", "Its so done <unk>"),
        ("stop_words", "The cat isn't on THE mat\nthen", "cat isn't mat\n"),
        ("stop_words", "can't to-do theme author-to-be", "can't to-do theme author-to-be"),
    ],
)
def test_steps(step, before, after):
    assert cleaned(before, step) == after


def test_sources_and_further_references_are_cleaned_too():
    document = Document("d", "A", "B", "B, b", ("C d", "E", "..."))
    lacking = Document("e", "A", "B", "...")
    splits, _ = clean({"train": [document, lacking]}, ("lowercase", "punctuation"))
    assert splits["train"] == [Document("d", "a", "b", "b b", ("c d", "e"))]


@pytest.mark.parametrize("step", ["nfc", "whitespace", "punctuation", "stop_words"])
@given(texts)
def test_a_second_time_changes_nothing(step, text):
    once = TEXT_STEPS[step](text)
    assert TEXT_STEPS[step](once) == once


@given(texts)
def test_whitespace_keeps_the_words_and_their_lines(text):
    after = TEXT_STEPS["whitespace"](text)
    assert after.split() == text.split()
    kept = [line.split() for line in text.split("\n") if line.split()]
    assert [line.split(" ") for line in after.split("\n") if line] == kept


def test_off_unless_asked_for():
    splits = splits_of(["  A <b>b</b> \n"], ["  A <b>b</b> \n"])
    assert clean(splits, ()) == (splits, [])


def test_steps_are_taken_in_their_order():
    assert cleaned("<B>The</B> CAT", "html", "stop_words", "lowercase") == "cat"
    assert cleaned("&AMP;amp;", "lowercase", "html") == "&amp;"
    assert cleaned("&AMP;amp;", "html", "html") == "&"


def test_duplicates_are_kept_where_they_are_evaluated_on():
    splits, (report,) = clean(
        splits_of(["a", "b", "a", "c", "d"], ["b", "e"], ["c", "c", "e"]), ("deduplicate",)
    )
    assert {split: [d.text for d in part] for split, part in splits.items()} == {
        "train": ["a", "d"],
        "validation": ["b"],
        "test": ["c", "e"],
    }
    assert list(splits) == list(SPLITS)
    assert (report.documents_before, report.documents_after) == (10, 5)


def test_reports_count_what_changed():
    splits = splits_of(["A b", "c"], ["D"], ["!"])
    _, (lower, punctuation) = clean(splits, ("lowercase", "punctuation"))
    assert (lower.step, lower.documents_changed, lower.documents_after) == ("lowercase", 2, 4)
    assert lower.characters_before == lower.characters_after == 6
    assert (punctuation.documents_changed, punctuation.documents_after) == (1, 3)
    assert (punctuation.characters_before, punctuation.characters_after) == (6, 5)


def test_what_a_step_leaves_blank_is_left_out_and_counted():
    kept, quoted = Document("a", "x", "I wrote it."), Document("b", "x", "> you wrote it\n\n")
    cleaned, (report,) = clean({"test": [kept, quoted]}, ("message_quotes",))
    assert [document.name for document in cleaned["test"]] == ["a"]
    assert (report.documents_before, report.documents_after) == (2, 1)


def test_an_unknown_step_is_named_with_the_nearest():
    with pytest.raises(UserError, match="'whitespce'.*'whitespace'"):
        named_steps(("nfc", "whitespce"))
    named_steps(CLEANING_STEPS)


@pytest.mark.parametrize("text", ["<a ", "<!-- ", "<script>", "< ", "&amp;<", "</"])
def test_broken_html_takes_linear_time(text):
    start = time.process_time()
    cleaned(text * 10_000, "html")
    assert time.process_time() - start < 1


@pytest.mark.parametrize("cleaning", [None, "nfc", ("nfc", None), 3])
def test_what_names_no_steps_is_refused(cleaning):
    with pytest.raises(UserError, match=r"data.cleaning is .*; give a tuple of names"):
        named_steps(cleaning)


@pytest.mark.parametrize(
    ("step", "theirs"),
    [
        ("message_headers", "strip_newsgroup_header"),
        ("message_footers", "strip_newsgroup_footer"),
        ("message_quotes", "strip_newsgroup_quoting"),
    ],
)
@given(
    st.lists(
        st.sampled_from(
            ["From: me", "", "  ", "--", "---- ", "> quoted", "a wrote:", "text", " |"]
        ),
        max_size=8,
    )
)
def test_messages_are_stripped_as_scikit_learn_does(step, theirs, lines):
    newsgroups = pytest.importorskip("sklearn.datasets._twenty_newsgroups")
    text = "\n".join(lines)
    if step == "message_headers" and "\n\n" not in text:  # they keep nothing of it
        assert TEXT_STEPS[step](text) == text
    else:
        assert TEXT_STEPS[step](text) == getattr(newsgroups, theirs)(text)
