"""The user's own files: all that they hold is read, or a message says why not."""

import gzip
import json

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
        ("a.jsonl", b'{"text": "a", "n": 1e400}', "line 1: not JSON .1e400 is no finite number"),
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
