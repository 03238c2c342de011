"""Streams: tokens, document starts and counts agree with the text, in memory and on disk."""

import json
import re
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmjax.data import streams
from lmjax.data.byte_tokenizer import ByteTokenizer
from lmjax.data.character_tokenizer import CharacterTokenizer
from lmjax.data.streams import (
    read_stream,
    source_stream_of,
    stream_of,
    write_source_stream,
    write_stream,
)
from lmjax.data.word_tokenizer import UNKNOWN_WORD, WordTokenizer
from lmjax.data.wordpiece_tokenizer import WordPieceTokenizer
from lmjax.data.wrapped_tokenizers import with_special_tokens
from lmjax.errors import UserError

corpora = st.lists(st.text("ab é\n\x00", max_size=30), max_size=5)


def tokenizers(texts, document_end):
    return (
        ByteTokenizer(document_end),
        CharacterTokenizer.train(texts, document_end, closed=True),
        WordTokenizer.train(texts, 0, closed=True),
    )


@given(corpora, st.booleans())
def test_a_stream_is_its_documents_one_after_the_other(texts, document_end):
    for tokenizer in tokenizers(texts, document_end):
        expected, starts = [], []
        for text in texts:
            starts.append(len(expected))
            expected += tokenizer.encode(text).tolist()
            if document_end and (len(expected) == starts[-1] or expected[-1] != tokenizer.end_id):
                expected.append(tokenizer.end_id)
        if not expected:
            with pytest.raises(UserError, match="no text"):
                stream_of(texts, tokenizer, document_end)
            continue
        stream = stream_of(texts, tokenizer, document_end)
        assert stream.tokens_N.tolist() == expected
        assert stream.document_starts_M.tolist() == starts
        assert stream.tokens_N.dtype == np.int32 and stream.document_starts_M.dtype == np.int64
        assert stream.start_id == tokenizer.start_id
        assert asdict(stream.counts) == {
            "tokens": len(expected),
            "words": sum(len(text.split()) for text in texts),
            "bytes": sum(len(text.encode()) for text in texts),
            "characters": sum(map(len, texts)),
            "unknowns": 0,
            "dropped_bytes": dropped_bytes(texts, tokenizer),
            "ends_of_line": sum(text.count("\n") for text in texts),
            "documents": len(texts),
            "segments": len(texts),
            "cut_documents": 0,
        }


def dropped_bytes(texts, tokenizer):
    """Whitespace that a word tokenizer does not give back, gap by gap."""
    if not isinstance(tokenizer, WordTokenizer):
        return 0
    gaps = [gap for text in texts for gap in re.findall(r"(?<=[^ \n]) +(?=[^ \n])", text)]
    return sum(text.count(" ") for text in texts) - gaps.count(" ")


pieces = st.lists(st.sampled_from(["a", "b", "é", " ", "  ", "\n"]), max_size=60)


@given(st.lists(pieces.map("".join), min_size=1, max_size=3), st.booleans())
def test_segments_are_runs_of_the_text_whatever_the_tokenizer(texts, document_end):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streams, "SEGMENT_CHARACTERS", 5)
        parts = [part for text in texts for part in streams._segments_of(text)]
        assert "".join(parts) == "".join(texts)
        for tokenizer in (*tokenizers(texts, document_end), WordTokenizer(("a", "b"), True)):
            if not any(len(tokenizer.encode(text)) or document_end for text in texts):
                continue
            stream = stream_of(texts, tokenizer, document_end)
            segments = stream.segments
            assert segments.bytes_G.tolist() == [len(part.encode()) for part in parts]
            tokens_G = segments.tokens_G(stream.counts.tokens)
            assert tokens_G.sum() == stream.counts.tokens
            places_N = np.arange(stream.counts.tokens)
            counted_G = np.bincount(segments.of_targets(places_N), minlength=len(parts))
            np.testing.assert_array_equal(counted_G, tokens_G)
            for part, count in zip(parts, tokens_G, strict=True):
                assert count - len(tokenizer.encode(part)) in (0, document_end)
            check_spelled(texts, tokenizer, stream)


def check_spelled(texts, tokenizer, stream):
    """All unknown words with an end each, and the dropped whitespace, are spelled."""
    known = getattr(tokenizer, "words", ())
    is_word = isinstance(tokenizer, WordTokenizer)
    unknown = [word for text in texts for word in text.split() if is_word and word not in known]
    dropped = dropped_bytes(texts, tokenizer)
    assert (stream.counts.unknowns, stream.counts.dropped_bytes) == (len(unknown), dropped)
    spelled = sum(len(word.encode()) + 1 for word in unknown) + dropped
    assert stream.segments.spelled_G.sum() == spelled


def test_a_long_documents_segments_end_after_about_4096_characters():
    text = "word " * 5000 + "x" * 20_000 + "\nend"
    bytes_G = stream_of([text], ByteTokenizer(False)).segments.bytes_G
    assert bytes_G.tolist() == [4099, *[4100] * 5, 20_401, 4]


def test_of_too_many_segments_neighbours_are_put_together(monkeypatch):
    monkeypatch.setattr(streams, "MOST_SEGMENTS", 3)
    stream = stream_of(["a", "bb", "ccc", "d", "ee", "fff", "g"], ByteTokenizer(False))
    assert stream.segments.bytes_G.tolist() == [6, 6, 1]
    assert stream.segments.starts_G.tolist() == [0, 6, 12]
    assert stream.counts.segments == 3 and stream.counts.documents == 7


def test_the_literal_unknown_word_is_a_word_and_a_strange_gap_is_not_told():
    assert WordTokenizer(("a", UNKNOWN_WORD), True).untold("a <unk> a\na") == (0, 0, 0)
    tokenizer = WordTokenizer(("a",), True)
    assert tokenizer.untold("a <unk> a\na") == (1, 5, 0), "else two texts had one spelling"
    assert tokenizer.untold(" é a\n b", mid_line=True) == (2, 3, 1)
    assert tokenizer.untold("a\ta \r\n  a\u2003") == (0, 0, 1 + 2 + 2 + 3)
    assert tokenizer.untold(" \n") == (0, 0, 1)
    assert tokenizer.untold(" \n", mid_line=True) == (0, 0, 1)
    assert CharacterTokenizer("a", True, False).untold("aéa€") == (2, 5, 0)


def test_unknown_tokens_are_counted():
    tokenizer = WordTokenizer.train(["a b"], 0, closed=False)
    assert stream_of(["a c c\n", "d"], tokenizer).counts.unknowns == 3


def test_a_stream_on_disk_is_the_one_in_memory(tmp_path):
    texts, tokenizer = ["one two\n", "", "three\n"], ByteTokenizer(True)
    stream = stream_of(texts, tokenizer, True)
    described = json.loads(json.dumps(write_stream(tmp_path, "test", texts, tokenizer, True)))
    read = read_stream(tmp_path, "test", described, tokenizer.start_id)
    assert isinstance(read.tokens_N, np.memmap)
    np.testing.assert_array_equal(read.tokens_N, stream.tokens_N)
    np.testing.assert_array_equal(read.document_starts_M, stream.document_starts_M)
    for name, column_G in vars(stream.segments).items():
        np.testing.assert_array_equal(getattr(read.segments, name), column_G)
    assert (read.counts, read.fingerprint, read.start_id) == (
        stream.counts,
        stream.fingerprint,
        stream.start_id,
    )


@pytest.mark.parametrize("file", ["train.tokens", "train.starts", "train.segments"])
def test_a_truncated_stream_is_refused(tmp_path, file):
    described = write_stream(tmp_path, "train", ["text"], ByteTokenizer(False), False)
    path = tmp_path / file
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match=f"{file} is damaged"):
        read_stream(tmp_path, "train", described, 0)


@pytest.mark.parametrize("starts", [[1, 2], [0, 5], [0, -1]])
def test_starts_that_no_documents_have_are_refused(tmp_path, starts):
    described = write_stream(tmp_path, "train", ["te", "xt"], ByteTokenizer(False), False)
    np.array(starts, np.int64).tofile(tmp_path / "train.starts")
    with pytest.raises(UserError, match="train.starts is damaged"):
        read_stream(tmp_path, "train", described, 0)


def test_a_split_lies_in_its_folder(tmp_path):
    described = write_stream(tmp_path, "train", ["text"], ByteTokenizer(False), False)
    (tmp_path / "inner").mkdir()
    with pytest.raises(UserError, match="is no name of something in"):
        read_stream(tmp_path / "inner", "../train", described, 0)


def test_fingerprints_tell_text_and_tokenizer_apart():
    by_bytes, by_words = ByteTokenizer(False), WordTokenizer.train(["a b", "b"], 0, closed=True)
    one, same = stream_of(["a b", "b"], by_bytes), stream_of(["a b", "b"], by_bytes)
    assert one.fingerprint == same.fingerprint
    for texts in (["a b", "c"], ["a bb"], ["b", "a b"], ["a ", "bb"]):
        other = stream_of(texts, by_bytes)
        assert text_part(other) != text_part(one)
    other = stream_of(["a b", "b"], by_words)
    assert other.fingerprint != one.fingerprint
    assert text_part(other) == text_part(one)


def text_part(stream):
    return stream.fingerprint.split("-")[0]


def test_the_texts_of_a_pair_stand_about_a_separator():
    texts = [("a b", "c"), ("", "b b b"), ("c", "")]
    plain = WordTokenizer.train([text for pair in texts for text in pair], 0, closed=True)
    tokenizer = with_special_tokens(plain, ("mask", "separator"))
    separator = tokenizer.special_id("separator")
    stream = source_stream_of(texts, tokenizer)
    expected = [[*plain.encode(first), separator, *plain.encode(second)] for first, second in texts]
    assert stream.tokens_N.tolist() == sum(expected, [])
    assert stream.document_starts_M.tolist() == [0, 4, 8]
    assert stream.segments.tokens_G(10).sum() == stream.counts.tokens == 10
    assert stream.counts.words == 7 and stream.counts.bytes == stream.segments.bytes_G.sum() == 10
    assert [tokenizer.encode_source(*pair).tolist() for pair in texts] == expected
    one_by_one = source_stream_of([(text,) for pair in texts for text in pair], tokenizer)
    moved = source_stream_of([("a", "b c"), *texts[1:]], tokenizer)
    assert len({stream.fingerprint, one_by_one.fingerprint, moved.fingerprint}) == 3
    with pytest.raises(UserError, match=r"data.special_tokens=\('separator',\)"):
        source_stream_of(texts, plain)
    with pytest.raises(UserError, match=r"data.special_tokens=\('separator',\)"):
        plain.encode_source("a", "b")


def test_berts_tokenizer_ends_each_text_of_a_source():
    bert = WordPieceTokenizer(
        pieces=("[UNK]", "[CLS]", "[SEP]", "a", "b"),
        special={"unknown": 0, "class": 1, "separator": 2, "end": 2},
        lowercase=True,
        strip_accents=True,
        clean_text=True,
        split_chinese=True,
        longest_word=100,
    )
    for tokenizer in (bert, with_special_tokens(bert, ("mask",))):
        for texts, expected in ((("a b",), [3, 4, 2]), (("a b", "b"), [3, 4, 2, 4, 2])):
            assert tokenizer.encode_source(*texts).tolist() == expected
            assert source_stream_of([texts], tokenizer).tokens_N.tolist() == expected


@given(
    st.lists(st.text("ab ", min_size=1, max_size=12), min_size=1, max_size=2), st.integers(5, 30)
)
def test_of_a_source_that_is_too_long_the_end_is_left_out(texts, longest):
    tokenizer = with_special_tokens(ByteTokenizer(False), ("separator",))
    separator = tokenizer.special_id("separator")
    cut = tokenizer.encode_source(*texts, longest=longest).tolist()
    whole = tokenizer.encode_source(*texts).tolist()
    assert len(cut) == min(longest, len(whole))
    parts = tokenizer.decode(cut).split("<separator>")
    assert all(text.startswith(part) for text, part in zip(texts, parts, strict=True))
    assert cut.count(separator) == len(texts) - 1
    if len(texts) == 2 and cut != whole:  # the longer one loses first
        assert abs(len(parts[0]) - len(parts[1])) <= 1 or (
            parts[int(len(texts[0]) > len(texts[1]))] == min(texts, key=len)
        )


def test_a_cut_that_leaves_no_token_of_each_text_is_refused():
    class Ended(ByteTokenizer):
        ends_sources = True

    one, two = ("a b",), ("a b", "b")
    pair, ended_pair = (
        with_special_tokens(tokenizer, ("separator",))
        for tokenizer in (ByteTokenizer(False), Ended(True))
    )
    for tokenizer, texts, fewest in (
        (ByteTokenizer(False), one, 1),
        (pair, two, 3),
        (Ended(True), one, 2),
        (ended_pair, two, 5),
    ):
        assert len(tokenizer.encode_source(*texts, longest=fewest)) == fewest
        with pytest.raises(UserError, match=f"data.cut_sources is .* give {fewest} or more"):
            tokenizer.encode_source(*texts, longest=fewest - 1 or -1)


def test_how_many_sources_are_cut_is_counted(tmp_path):
    tokenizer = with_special_tokens(ByteTokenizer(False), ("separator",))
    texts = [("abcdef", "abc"), ("ab",), ("abcdefgh",)]
    described = write_source_stream(tmp_path, "train", texts, tokenizer, 7)
    stream = read_stream(tmp_path, "train.source", described, tokenizer.start_id)
    expected = [tokenizer.encode_source(*text, longest=7).tolist() for text in texts]
    assert stream.tokens_N.tolist() == sum(expected, [])
    assert tokenizer.decode(expected[0]) == "abc<separator>abc"
    assert stream.counts.cut_documents == 2 and stream.document_starts_M.tolist() == [0, 7, 9]
    whole = write_source_stream(tmp_path, "train", texts, tokenizer)
    assert whole["fingerprint"] != described["fingerprint"]
