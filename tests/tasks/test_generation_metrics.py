"""Variety and copies of samples, by their definitions, spelled out another way."""

from difflib import SequenceMatcher

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nltk.translate.bleu_score import sentence_bleu

from lmjax.errors import UserError
from lmjax.tasks.copies import TrainingText, longest_copies, seen_share, window_hashes
from lmjax.tasks.generation import SEEN, distinct, measure, self_bleu, unit_of
from lmjax.tasks.registry import find_kind

codes = st.lists(st.integers(1, 3), max_size=30).map(lambda row: np.array(row, np.int32))


@settings(max_examples=60, deadline=None)
@given(st.lists(codes, min_size=1, max_size=4), st.lists(codes, min_size=1, max_size=4))
def test_copies_are_those_of_a_search_letter_by_letter(texts, documents):
    training = TrainingText(documents)
    for text, copy in zip(texts, longest_copies(texts, training), strict=True):
        longest = max(
            SequenceMatcher(None, text.tolist(), document.tolist(), autojunk=False)
            .find_longest_match()
            .size
            for document in documents
        )
        assert copy.length == longest
        run = text[copy.start : copy.start + copy.length].tolist()
        assert any(run in windows(document, len(run)) for document in documents)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(codes, min_size=1, max_size=4),
    st.lists(codes, min_size=1, max_size=4),
    st.integers(1, 4),
)
def test_seen_windows_are_those_of_single_documents(texts, documents, length):
    known = [window for document in documents for window in windows(document, length)]
    own = [window for text in texts for window in windows(text, length)]
    share = seen_share(texts, TrainingText(documents), length)
    assert share == (np.mean([window in known for window in own]) if own else None)


def windows(codes_N, length):
    row = codes_N.tolist()
    return [row[i : i + length] for i in range(len(row) - length + 1)]


def test_long_training_texts_are_read_in_overlapping_parts(monkeypatch):
    monkeypatch.setattr("lmjax.tasks.copies.CHUNK", 7)
    document = np.arange(1, 100, dtype=np.int32)
    training = TrainingText([document])
    found = longest_copies([document[20:50], document[::-1]], training)
    assert [copy.length for copy in found] == [30, 1]


def test_equal_windows_have_equal_hashes_wherever_they_stand():
    row = np.array([5, 1, 2, 3, 9, 1, 2, 3], np.int32)
    hashes = window_hashes(row, 3)
    assert hashes[1] == hashes[5] and len(set(hashes.tolist())) == 5


def test_measures_of_samples_that_are_seen_by_hand():
    training = ["the cat sat on the mat\n", "a dog ran"]
    measured = measure(["the cat sat down", "a dog ran"], training)
    assert measured["samples"] == 2 and measured["unit"] == "word"
    assert measured["distinct_1"] == 1 and measured["distinct_3"] == 1
    assert measured["seen_1"] == 6 / 7 and measured["seen_2"] == 4 / 5
    assert measured["seen_3"] == 2 / 3 and measured["seen_4"] == 0 and measured["seen_5"] is None
    assert measured["longest_copy"] == 12 and measured["longest_copy_text"] == "the cat sat "
    assert measured["longest_copy_mean"] == (12 + 9) / 2
    assert measured["longest_copy_sample"] == 1
    assert set(SEEN) == {int(name[5:]) for name in measured if name.startswith("seen_")}


def test_variety():
    assert distinct([["a", "a", "b"], ["a", "b"]], 1) == 2 / 5
    assert distinct([["a", "a", "b"], ["a", "b"]], 2) == 2 / 3
    assert distinct([["a"]], 2) is None
    same = ["one", "two", "three", "four", "five"]
    assert self_bleu([same, same])["self_bleu"] == pytest.approx(100)
    assert self_bleu([same, list("abcdefg")])["self_bleu"] < 5
    assert self_bleu([same])["self_bleu"] is None


def test_self_bleu_is_the_mean_of_another_programs():
    rows = [
        list("abcdefgh"),
        list("abcdxfgh"),
        list("qabcdef"),
    ]
    theirs = [sentence_bleu([*rows[:i], *rows[i + 1 :]], row) for i, row in enumerate(rows)]
    assert all(score > 0 for score in theirs)
    assert self_bleu(rows)["self_bleu"] == pytest.approx(100 * np.mean(theirs))


def test_letters_without_spaces_are_measured_by_character():
    poems = ["秦川雄帝宅，函谷壯皇居。\n", "綺殿千尋起，離宮百雉餘。"]
    assert unit_of(poems) == "character" and unit_of(["a 秦 b", "cd"]) == "word"
    measured = measure(["秦川雄\n帝宅"], poems)
    assert measured["seen_5"] == 1 and measured["longest_copy_text"] == "秦川雄"


def test_the_kind_has_the_numbers_alone():
    samples, training = ["the cat sat down", "a dog ran"], ["the cat sat on the mat\n", "a dog ran"]
    measured = measure(samples, training)
    numbers = find_kind("generation").measure(samples, training)
    assert numbers == {name: value for name, value in measured.items() if name in numbers}
    assert set(measured) - set(numbers) == {"unit", "self_bleu_signature", "longest_copy_text"}


def test_nothing_to_measure_is_told():
    with pytest.raises(UserError, match="no sample"):
        measure([], ["text"])
    with pytest.raises(UserError, match="no training text"):
        measure(["text"], [""])
    assert measure(["", "\ud800"], ["text"])["longest_copy"] == 0
