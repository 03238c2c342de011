"""Answers keep their places: in windows of long texts, and among the tokens of a source row."""

import itertools
import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmjax.config import base_config
from lmjax.data.bpe_tokenizer import BytePairTokenizer
from lmjax.data.byte_tokenizer import ByteTokenizer
from lmjax.data.dataset import open_dataset
from lmjax.data.document_batches import document_lengths
from lmjax.data.documents import Document
from lmjax.data.span_tokenizer import SpanTokenizer
from lmjax.data.spans import borders, in_windows, place_text, second_begins, tokens_of
from lmjax.data.spans import windows as windows_with_begins
from lmjax.data.tokenizer_files import read_tokenizer_file
from lmjax.data.tokenizer_registry import tokenizer_from_json
from lmjax.data.word_tokenizer import WordTokenizer
from lmjax.data.wrapped_tokenizers import with_special_tokens
from lmjax.errors import UserError
from lmjax.runs.files import to_json
from tests.data.unigram_files import t5_json
from tests.data.wordpiece_files import PIECES, PROSE, wordpiece

OWN = [
    with_special_tokens(tokenizer, ("separator",))
    for tokenizer in (
        ByteTokenizer(False),
        WordTokenizer.train([PROSE], 0, closed=False),
        BytePairTokenizer.train([PROSE], 270, False),
    )
]
texts = st.text(st.sampled_from("cat s,é床\n "), min_size=1, max_size=150)


@pytest.fixture(scope="module")
def readers(tmp_path_factory):
    return [*OWN, wordpiece(tmp_path_factory.mktemp("bert"))]


def windows(*given):
    return [part for _, part in windows_with_begins(*given)]


def answered(data, text, question="the cat"):
    begin = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(begin + 1, len(text)))
    answer = text[begin:end]
    begin += len(answer) - len(answer.lstrip())
    return Document("q", answer.strip(), question, text, begin=begin) if answer.strip() else None


@given(text=texts, overlap=st.integers(0, 8), more=st.integers(1, 30), data=st.data())
def test_windows_cover_a_text_and_share_enough_for_any_short_answer(
    readers, text, overlap, more, data
):
    document = answered(data, text) or Document("q", "", "the cat", text)
    for reader in readers:
        others = len(reader.encode_source("the cat", "")) + (reader.source_end_id is not None)
        length = others + overlap + 5 + more  # a character has up to three bytes
        parts = windows(document, reader, length, overlap)
        rows = [reader.encode_source(*part.source_parts) for part in parts]
        assert max(map(len, rows)) <= length
        shown = [part.second for part in parts]
        told = [begin for begin, _ in windows_with_begins(document, reader, length, overlap)]
        begins, ends = zip(*borders(text, reader, length - others, overlap), strict=True)
        assert told == list(begins)
        assert shown == [text[begin:end] for begin, end in zip(begins, ends, strict=True)]
        assert begins[0] == 0 and ends[-1] == len(text)
        places_N = reader.places(text)
        for end, begin in zip(ends, begins[1:], strict=False):
            assert begin <= end
            assert np.sum((places_N >= begin) & (places_N < end)) >= overlap
        if document.text:
            span = document.begin, document.begin + len(document.text)
            first, last = tokens_of(places_N, *span)
            whole = [part for part in parts if part.text]
            if last - first < overlap:
                assert whole
            assert all(
                part.second[part.begin : part.begin + len(part.text)] == document.text
                for part in whole
            )
            inside = [b <= span[0] and span[1] <= e for b, e in zip(begins, ends, strict=True)]
            assert len(whole) == sum(inside)


def test_windows_are_of_whole_words_and_share_no_less_than_the_overlap():
    text = " ".join(f"w{i}" for i in range(20))
    words = with_special_tokens(WordTokenizer.train([text + " who"], 0, True), ("separator",))
    parts = windows(Document("q", "", "who", text), words, 10, 3)
    found = [[int(word[1:]) for word in part.second.split()] for part in parts]
    assert found == [[*range(0, 8)], [*range(5, 13)], [*range(10, 18)], [*range(15, 20)]]
    for reader in OWN:
        for part in windows(Document("q", "", "who", text), reader, 40, 10):
            assert re.search(rf"{re.escape(part.second)}( |$)", text)


def test_long_words_leave_room_to_go_on_and_to_share():
    words = ["aaaaaaaa"] * 20
    found = borders(" ".join(words), ByteTokenizer(False), 13, 8)
    assert all(end - begin <= 13 for begin, end in found)
    assert all(end - begin >= 8 for (_, end), (begin, _) in itertools.pairwise(found))


def test_rows_of_bert_have_room_for_their_last_separator(readers):
    document = Document("q", "", "the cat", "the cat " * 30)
    rows = [
        readers[3].encode_source(*part.source_parts)
        for part in windows(document, readers[3], 16, 4)
    ]
    assert [len(row) for row in rows[:-1]] == [16] * (len(rows) - 1) and len(rows) > 5


def test_windows_that_are_more_tokens_by_themselves_have_room(tmp_path):
    (tmp_path / "tokenizer.json").write_text(to_json(t5_json()))
    unigram = read_tokenizer_file(str(tmp_path / "tokenizer.json"), True)
    text = "at" * 30
    assert len(unigram.encode(text)) == 31 and len(unigram.encode("atat")) == 3
    found = borders(text, unigram, 10, 3)
    assert max(len(unigram.encode(text[begin:end])) for begin, end in found) == 10
    assert all(end - begin >= 6 for (_, end), (begin, _) in itertools.pairwise(found))


def test_a_word_that_is_longer_than_what_is_shared_is_cut_between_its_tokens():
    text = "床é" * 40
    parts = windows(Document("q", text[50:54], "who", text, begin=50), OWN[0], 44, 12)
    assert all(part.second in text for part in parts) and max(len(p.second) for p in parts) == 16
    assert [part.text for part in parts if part.text] == [text[50:54]]


@given(text=texts, data=st.data())
def test_places_are_those_of_the_answer_in_its_source_row(readers, text, data):
    document = answered(data, text)
    if document is None:
        return
    for reader in readers:
        row = reader.encode_source(*document.source_parts)
        begin = second_begins(document, reader)
        assert row[begin - 1] == reader.special_id("separator")
        end = len(row) - (reader.source_end_id is not None)
        np.testing.assert_array_equal(row[begin:end], reader.encode(text))
        first, last = map(int, place_text(document, reader).split())
        assert begin < first <= last <= end
        if reader in (OWN[0], OWN[2]):
            assert document.text in reader.decode(row[first - 1 : last])
        if reader is OWN[0]:
            assert document.text == reader.decode(row[first - 1 : last])


def test_places_in_rows_as_of_bert(readers):
    document = Document("q", "床", "the cats", "The unbelievable cat. 床, at", begin=22)
    row = readers[3].encode_source(*document.source_parts)
    pieces = [PIECES[i] for i in row]
    assert pieces.count("[SEP]") == 2 and pieces[-1] == "[SEP]"
    first, last = map(int, place_text(document, readers[3]).split())
    assert first == last and pieces[first - 1] == "床"
    assert place_text(Document("q", "", "the", "cat"), readers[3]) == "0 0"


def test_what_no_window_holds_and_no_tokens_are_is_counted():
    text = " ".join(f"w{i}" for i in range(20))
    words = with_special_tokens(WordTokenizer.train([text + " who"], 0, True), ("separator",))
    documents = [
        Document("one", "w3 w4", "who", text, begin=text.index("w3")),
        Document("long", "w2 w3 w4 w5 w6", "who", text, begin=text.index("w2")),
        Document("part", "0", "who", text, begin=text.index("w10") + 2),
    ]
    found, counts = in_windows({"train": documents}, words, 8, 2)
    assert counts == Counter(windows=15, answers_in_no_window=1, answers_of_parts_of_tokens=1)
    assert [document.text for document in found["train"]] == [
        *("6 7", "0 0", "0 0", "0 0", "0 0"),
        *["0 0"] * 5,
        *("0 0", "0 0", "5 5", "0 0", "0 0"),
    ]


def test_a_question_that_leaves_no_room_is_named():
    document = Document("squad-7", "", "the cat sat on the mat", "so it did")
    with pytest.raises(UserError, match=r"squad-7: its question.*23 tokens.*leaves 17 of 40.*20"):
        windows(document, OWN[0], 40, 20)
    with pytest.raises(UserError, match="leaves 0 of 10"):
        windows(document, OWN[0], 10, 0)


def test_texts_without_places_and_sources_without_a_tokenizer_are_refused():
    with pytest.raises(UserError, match="text of d is not known to stand in its source.*squad"):
        in_windows({"train": [Document("d", "1", "good film")]}, OWN[0], 10, 2)
    config = base_config()
    config.data.update(corpus="squad", tokenizer="span")
    with pytest.raises(UserError, match="data.source_tokenizer to one of texts"):
        open_dataset(config.data)


def test_a_span_tokenizer_is_of_rows_of_a_length():
    made = SpanTokenizer.of_rows(8)
    assert made.row_length == 8 and made.encode("0 8").tolist() == [0, 8]
    assert tokenizer_from_json(made.to_json()) == made
    with pytest.raises(UserError, match="'9' is no id"):
        made.encode("9 9")


def test_a_dataset_of_spans_has_two_targets_a_window(tmp_path, monkeypatch):
    path = squad_file(tmp_path, paragraphs=60)
    monkeypatch.setenv("LMJAX_CACHE_DIR", str(tmp_path / "cache"))
    config = base_config()
    config.data.update(corpus="questions", files=str(path), tokenizer="span", source_overlap=3)
    config.data.update(source_tokenizer="word", special_tokens=("separator",), source_length=16)
    dataset = open_dataset(config.data)
    assert dataset.reading["questions"] == 120 and dataset.reading["answers_in_no_window"] == 0
    assert dataset.reading["windows"] > 120
    for stream in dataset.splits.values():
        assert (document_lengths(stream) == 2).all()
        lengths_M = document_lengths(stream.source)
        assert lengths_M.max() <= 16
        starts_M2 = stream.tokens_N.reshape(-1, 2)
        shown = 0
        for (first, last), begin in zip(starts_M2, stream.source.document_starts_M, strict=True):
            row = stream.source.tokens_N[begin:]
            if first:
                text = dataset.tokenizer.source.decode(row[first - 1 : last])
                shown += text.startswith("answer")
        assert shown
    own = open_dataset(config.data)
    assert own.splits["test"].fingerprint == dataset.splits["test"].fingerprint
    config.data.source_overlap = 5
    other = open_dataset(config.data)
    assert other.splits["train"].fingerprint != dataset.splits["train"].fingerprint


def test_a_run_reads_another_corpus_by_its_own_tokens(tmp_path, monkeypatch):
    monkeypatch.setenv("LMJAX_CACHE_DIR", str(tmp_path / "cache"))
    config = base_config()
    config.data.update(corpus="questions", files=str(squad_file(tmp_path, paragraphs=60)))
    config.data.update(tokenizer="span", source_tokenizer="word", special_tokens=("separator",))
    config.data.update(source_length=16, source_overlap=3)
    made = open_dataset(config.data)
    made.tokenizer.save(tmp_path / "tokenizer.json")
    config.data.update(tokenizer="file", tokenizer_file=str(tmp_path / "tokenizer.json"))
    config.data.update(source_tokenizer="", special_tokens=())
    again = open_dataset(config.data)
    assert again.splits["test"].fingerprint == made.splits["test"].fingerprint


def squad_file(folder, paragraphs):
    import json

    described = []
    for number in range(paragraphs):
        context = f"{number} " + "filler word " * 10 + f"then answer {number % 7} stands here."
        asked = [
            {
                "id": f"{number}-{which}",
                "question": f"what stands in {number} ?",
                "answers": [
                    {"text": text, "answer_start": context.index(text)}
                    for text in (f"answer {number % 7}", "answer")[:which]
                ],
            }
            for which in (1, 2)
        ]
        described.append({"context": context, "qas": asked})
    path = folder / "squad.json"
    path.write_text(json.dumps({"data": [{"title": "t", "paragraphs": described}]}))
    return path
