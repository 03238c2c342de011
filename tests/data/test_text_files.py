"""The user's own files: all that they hold is read, or a message says why not."""

import gzip
import json
import os
from pathlib import Path

import pytest

from lmjax.data.text_files import files_digest, matching_files, read_text_files
from lmjax.errors import UserError

LINES = "".join(f"line {i}\n" for i in range(100))


def read(pattern, invalid_utf8="strict"):
    splits, report = read_text_files(matching_files(str(pattern)), invalid_utf8)
    joined = "".join(document.text for part in splits.values() for document in part)
    names = {document.name for part in splits.values() for document in part}
    return joined, names, report


def test_kinds_of_files(tmp_path):
    (tmp_path / "a.txt").write_text(LINES)
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "b.md").write_text("# b\n")
    (tmp_path / "c.jsonl.gz").write_bytes(
        gzip.compress(b'{"text": "c1\\n", "id": 3}\n\n{"text": "c2\\n"}\n')
    )
    (tmp_path / "d.txt.gz").write_bytes(gzip.compress(LINES.encode()))
    joined, names, report = read(tmp_path / "**" / "*.*")
    assert joined == LINES + "c1\nc2\n" + LINES + "# b\n"
    assert {"a.txt", "c.jsonl:1", "deep/b.md"} - names <= {"deep/b.md", "c.jsonl:1"}
    assert report["files"] == 4


def test_names_do_not_depend_on_where_the_folder_lies(tmp_path):
    digests = []
    for place in ("here", "there"):
        folder = tmp_path / place / "notes"
        folder.mkdir(parents=True)
        (folder / "a.txt").write_text(LINES)
        (folder / "b.txt").write_text("b")
        digests.append(files_digest(matching_files(str(folder / "*.txt"))))
    assert digests[0] == digests[1]
    (tmp_path / "there/notes/b.txt").write_text("c")
    assert files_digest(matching_files(str(tmp_path / "there/notes/*.txt"))) != digests[0]


def test_marks_and_line_ends_are_counted(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbf" + LINES.replace("\n", "\r\n").encode())
    (tmp_path / "b.txt").write_bytes(b"")
    (tmp_path / "c.txt").write_bytes(b"nul \x00 and \xff\n")
    joined, _, report = read(tmp_path / "*.txt", "replace")
    assert joined == LINES + "nul \x00 and \ufffd\n"
    assert report["byte_order_marks"] == report["empty_documents"] == report["invalid_bytes"] == 1
    assert report["carriage_returns"] == 100


def test_a_lone_surrogate_in_json_is_invalid(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"text": "half \ud83d" + LINES}) + "\n")
    with pytest.raises(UserError, match=r"a\.jsonl, line 1: invalid UTF-8 at byte 5"):
        read(path)
    assert read(path, "skip")[0] == "half " + LINES


def test_one_long_line_is_split_inside(tmp_path):
    (tmp_path / "a.txt").write_text("word " * 40_000)
    assert read(tmp_path / "a.txt")[0] == "word " * 40_000


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("a.txt", b"", "corpus is empty"),
        ("a.txt", b"x", "too little text"),
        ("a.txt", b"ab\xff", r"a\.txt: invalid UTF-8 at byte 2"),
        ("a.pdf", b"text", r"a\.pdf is not \.txt"),
        ("a.jsonl", b'{"text": "a"}\nno json\n', r"a\.jsonl, line 2: not JSON"),
        ("a.jsonl", b'{"body": "a"}\n', r"a\.jsonl, line 1: no text"),
        ("a.jsonl", b"[" * 100_000, r"a\.jsonl, line 1: not JSON"),
        ("a.jsonl", b'{"text": "a", "text": "b"}', "line 1: not JSON .the key 'text' is there"),
        ("a.txt", "text ".encode("utf-16-le") * 9, r"a\.txt is in UTF-16 or UTF-32; convert it"),
        ("a.txt.gz", b"text", "not a whole gzip"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, file, content, message):
    (tmp_path / file).write_bytes(content)
    with pytest.raises(UserError, match=message):
        read(tmp_path / "*")


def test_a_glob_that_matches_nothing_is_refused(tmp_path):
    with pytest.raises(UserError, match="no file matches"):
        matching_files(str(tmp_path / "*.txt"))
    with pytest.raises(UserError, match=r"data\.files"):
        matching_files("")


def test_a_number_that_is_not_finite_in_another_field_blocks_nothing(tmp_path):
    lines = [f'{{"text": "line {i}\\n", "n": {n}}}' for i, n in enumerate(["NaN", "1e400"] * 200)]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    assert read(tmp_path / "a.jsonl")[0].count("line") == 400


def test_a_file_that_is_reached_by_links_is_there_once(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.txt").write_text(LINES)
    (tmp_path / "deep" / "loop").symlink_to(tmp_path)
    (tmp_path / "copy.txt").symlink_to(tmp_path / "deep" / "a.txt")
    for pattern in (tmp_path / "**" / "*.txt", tmp_path):
        assert matching_files(str(pattern)) == [tmp_path / "copy.txt"]
    assert matching_files(str(tmp_path / "deep" / "*.txt")) == [tmp_path / "deep" / "a.txt"]


def test_brackets_of_a_name_are_letters_where_there_is_such_a_name(tmp_path):
    (tmp_path / "a [1]").mkdir()
    (tmp_path / "a [1]" / "b[c].txt").write_text(LINES)
    (tmp_path / "x1.txt").write_text(LINES)
    (tmp_path / "x2.txt").write_text(LINES)
    inside = [tmp_path / "a [1]" / "b[c].txt"]
    for pattern in ("a [1]/b[c].txt", "a [1]/*.txt", "a [1]/**/*.txt", "a [1]"):
        assert matching_files(str(tmp_path / pattern)) == inside
    assert matching_files(str(tmp_path / "x[1].txt")) == [tmp_path / "x1.txt"]


def test_a_folder_stands_for_what_can_be_read_below_it(tmp_path, monkeypatch):
    for name in ("a.txt", "b.md", "c.jsonl.gz", "d.pdf", ".hidden.txt", "deep/e.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(LINES)
    names = ["a.txt", "b.md", "c.jsonl.gz", "deep/e.txt"]
    expected = [tmp_path / name for name in names]
    assert matching_files(str(tmp_path)) == matching_files(f"{tmp_path}/") == expected
    monkeypatch.setenv("HOME", str(tmp_path))
    assert matching_files("~") == expected
    assert matching_files("~/*.txt") == expected[:1]
    with pytest.raises(UserError, match="no file matches"):
        (tmp_path / "empty").mkdir()
        matching_files(str(tmp_path / "empty"))


def test_a_name_that_is_no_utf8_is_read_and_shown(tmp_path):
    path = Path(os.fsdecode(os.fsencode(tmp_path / "a") + b"\xff.txt"))
    path.write_text(LINES)
    assert read(tmp_path / "*.txt")[1] == {r"a\xff.txt"}
    assert len(files_digest(matching_files(str(tmp_path)))) == 64
    path.write_bytes(b"\xff")
    with pytest.raises(UserError) as refused:
        read(tmp_path)
    assert r"a\xff.txt: invalid UTF-8" in str(refused.value)


def test_every_language_is_in_every_split(tmp_path):
    for language in ("dutch", "finnish", "welsh"):
        (tmp_path / f"{language}.txt").write_text(f"in {language}\n" * 300)
    splits, report = read_text_files(matching_files(str(tmp_path)), "strict")
    for part in splits.values():
        assert [document.name for document in part] == ["dutch.txt", "finnish.txt", "welsh.txt"]
    assert report["files_split_each_by_position"] == 3
