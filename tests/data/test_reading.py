"""Bytes to text: what is wrong with a file is said or counted, never passed over."""

import gzip
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmjax.data import reading
from lmjax.data.reading import check_encoding, decode, read_bytes
from lmjax.errors import UserError


def decoded(content, invalid_utf8="strict"):
    report = Counter()
    text = decode(content, "book.txt", invalid_utf8, report)
    return text, {name: n for name, n in report.items() if n}


@given(st.text(st.characters(exclude_characters="\r\ufeff", exclude_categories=["Cs"])))
def test_clean_text_is_unchanged(text):
    assert decoded(text.encode()) == (text, {})


def test_byte_order_mark_and_line_ends():
    content = b"\xef\xbb\xbfone\r\ntwo\r\n\rthree\r"
    assert decoded(content) == (
        "one\ntwo\n\rthree\r",
        {"byte_order_marks": 1, "carriage_returns": 2},
    )
    assert decoded(b"a\xef\xbb\xbfb")[0] == "a\ufeffb"


def test_carriage_returns_alone_are_line_ends():
    assert decoded(b"one\rtwo\r\rthree") == ("one\ntwo\n\nthree", {"carriage_returns": 3})


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_two_or_four_bytes_a_character_are_refused_with_a_cure(encoding):
    text = "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich.\n" * 3
    with pytest.raises(UserError, match=r"book\.txt is in UTF-16 or UTF-32; convert it: iconv"):
        check_encoding(text.encode(encoding), "book.txt")


@given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(1, 3))
def test_utf8_is_not_taken_for_another_encoding(text, times):
    check_encoding((text.replace("\0", "") * times).encode(), "book.txt")


def test_some_nuls_are_no_other_encoding():
    check_encoding(b"a\x00b" + b"field\x00" * 100 + bytes(100), "book.txt")


def test_nul_is_a_character_like_any_other():
    assert decoded(b"a\x00b") == ("a\x00b", {})


def test_invalid_utf8_is_named_by_file_and_byte():
    with pytest.raises(UserError, match=r"book\.txt.*byte 5 .*replace or skip"):
        decoded(b"\xef\xbb\xbfab\xff")


@pytest.mark.parametrize("choice", ["replace", "skip"])
@given(st.binary(max_size=40))
def test_invalid_utf8_is_counted(choice, content):
    text, report = decoded(content, choice)
    valid = content.decode("utf-8", "ignore").encode()
    assert report.get("invalid_bytes", 0) == len(content) - len(valid)
    if choice == "skip":
        kept = valid.replace(b"\r\n" if b"\n" in valid else b"\r", b"\n")
        if not content.startswith(b"\xef\xbb\xbf"):
            assert text.encode() == kept
    elif len(valid) < len(content):
        assert "\ufffd" in text


def test_gzip_is_read_and_a_damaged_one_refused(tmp_path):
    path = tmp_path / "book.txt.gz"
    path.write_bytes(gzip.compress(b"text" * 100))
    assert read_bytes(path) == b"text" * 100
    whole = path.read_bytes()
    for content in (b"no gzip", whole[:-9], whole[:10] + b"\xff" * 20):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"book\.txt\.gz is not a whole gzip"):
            read_bytes(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"cannot read .*missing\.txt"):
        read_bytes(tmp_path / "missing.txt")


def test_members_of_a_gzip_follow_each_other(tmp_path):
    path = tmp_path / "book.txt.gz"
    path.write_bytes(gzip.compress(b"one ") + gzip.compress(b"") + gzip.compress(b"two"))
    assert read_bytes(path) == b"one two"


def test_decompressed_bytes_are_limited_in_total_and_by_what_was_stored(tmp_path, monkeypatch):
    path = tmp_path / "book.txt.gz"
    monkeypatch.setattr(reading, "WINDOW", 1 << 20)
    monkeypatch.setattr(reading, "LEAST_STORED", (1 << 20) // 200)
    monkeypatch.setattr(reading, "MOST_BYTES", 5 << 20)
    noise, zeros = random.Random(0).randbytes(2 << 20), bytes(1 << 20)
    for content in (noise * 2 + zeros[:-1], zeros[:-1]):
        path.write_bytes(gzip.compress(content))
        assert read_bytes(path) == content
    path.write_bytes(gzip.compress(noise * 3))
    with pytest.raises(UserError, match=r"book\.txt\.gz decompresses to over 5,242,880 bytes"):
        read_bytes(path)
    for content in (zeros, noise + zeros * 2):
        path.write_bytes(gzip.compress(content[: len(content) // 2]) + gzip.compress(content))
        with pytest.raises(UserError, match=r"book\.txt\.gz decompresses to over 200 times"):
            read_bytes(path)
