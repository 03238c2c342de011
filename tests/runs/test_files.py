import json
import os
from concurrent.futures import ThreadPoolExecutor

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmjax.errors import UserError
from lmjax.runs import files
from lmjax.runs.files import inside, parse_json, read_json, read_whole, to_json, write_atomically

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text('ab"[{\\é'), inner),
    max_leaves=20,
)


def refuse(constant):
    raise AssertionError(f"{constant} is not JSON")


def test_json_is_strict_and_plain():
    value = {
        "nan": float("nan"),
        "deep": [np.float32("inf"), (1, -np.inf)],
        "numbers": [np.int64(3), np.float32(0.5), jnp.float32(2), np.bool_(True)],
        "text": "naïve 日本 \n",
        "none": None,
    }
    assert json.loads(to_json(value), parse_constant=refuse) == {
        "nan": None,
        "deep": [None, [1, None]],
        "numbers": [3, 0.5, 2.0, True],
        "text": "naïve 日本 \n",
        "none": None,
    }


def test_what_json_has_no_form_for_is_refused():
    with pytest.raises(TypeError):
        to_json({"value": object()})


@pytest.mark.parametrize("operation", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch, operation):
    path = tmp_path / "file"
    write_atomically(path, "old")

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, operation, fail)
    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


def test_broken_json_is_named(tmp_path):
    (tmp_path / "broken.json").write_text('{"a": ')
    with pytest.raises(UserError, match="broken.json is not valid JSON"):
        read_json(tmp_path / "broken.json")


@settings(deadline=None)
@given(json_values, st.booleans())
def test_any_json_is_read_as_the_library_reads_it(value, ascii_only):
    assert parse_json(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@settings(deadline=None)
@given(st.text('{}[]",:\\u0123dDeE.-na '))
def test_what_the_library_refuses_is_refused(text):
    try:
        expected = json.loads(text)
    except ValueError:
        with pytest.raises(ValueError):
            parse_json(text.encode())
        return
    try:
        assert parse_json(text.encode()) == expected
    except ValueError as error:
        assert any(part in str(error) for part in ("twice", "finite", "surrogates"))


@pytest.mark.parametrize(
    ("limit", "content", "message"),
    [
        ("MOST_JSON_BYTES", b'"%s"', "bytes, over the limit of 50"),
        ("MOST_JSON_MARKS", b"[%s]", "commas and brackets, over the limit 50"),
        ("MOST_JSON_DEPTH", b"%s", "brackets within brackets, over the limit 50"),
    ],
)
def test_limits_hold_exactly(monkeypatch, limit, content, message):
    monkeypatch.setattr(files, limit, 50)
    within = {
        "MOST_JSON_BYTES": b"a" * 48,
        "MOST_JSON_MARKS": b"1," * 47 + b'1,"[[,,"',
        "MOST_JSON_DEPTH": b'[{"]]":' * 25 + b"0" + b"}]" * 25,
    }[limit]
    parse_json(content % within)
    beyond = {"MOST_JSON_BYTES": within + b"a", "MOST_JSON_MARKS": within + b",1"}
    with pytest.raises(ValueError, match=message):
        parse_json(content % beyond.get(limit, b"[%s]" % within))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b'{"a": {"b": 1, "c": 2, "b": 3}}', "the key 'b' is there twice"),
        (b"[NaN]", "NaN is no finite number"),
        (b"-Infinity", "-Infinity is no finite number"),
        (b"[-1e400]", "-1e400 is no finite number"),
        (b"1" * 5000, "1{20} is no finite number"),
        ('{"a": 1}'.encode("utf-16-le"), "property name"),
        (b'"\xff"', "can't decode byte 0xff"),
        (b"\xef\xbb\xbf1", "BOM"),
    ],
)
def test_what_other_readers_may_take_otherwise_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        parse_json(text)


def test_half_a_surrogate_pair_is_read_only_where_it_is_asked_for():
    text = rb'{"a": ["\ud83d\ude00", "\ud83d"]}'
    assert parse_json(text, lenient=True) == {"a": ["😀", "\ud83d"]}
    with pytest.raises(ValueError, match="surrogates"):
        parse_json(text)


def test_only_whole_regular_files_within_the_limit_are_read(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert read_whole(path, 5) == b"12345"
    with pytest.raises(UserError, match="file has 5 bytes, over the limit of 4"):
        read_whole(path, 4)
    os.mkfifo(tmp_path / "pipe")
    for other in (tmp_path / "pipe", tmp_path, "/dev/zero"):
        with pytest.raises(UserError, match="is no regular file"):
            read_whole(tmp_path / other)
    with pytest.raises(UserError, match="cannot read .*missing"):
        read_json(tmp_path / "missing")


def test_a_name_inside_its_root(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    for name in ("file", "folder/file.txt", "order=4,cell=lstm/seed_0", "ü 日本", "link/a", "..a"):
        assert inside(tmp_path, name) == tmp_path / name


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "a/../../b",
        "/etc/passwd",
        "a/../b",
        "a//b",
        "a/",
        "..%2fb",
        "%2e%2e/b",
        "a\0b",
        "a\nb",
        "..\\b",
        "\\\\server\\share",
        "a\ud800",
        "out/file",
        "up/file",
        "circle/file",
        "a" * 256,
        "é" * 128,
    ],
)
def test_a_name_that_leads_elsewhere_is_refused(tmp_path, name):
    root = tmp_path / "root"
    root.mkdir()
    (root / "out").symlink_to(tmp_path)
    (root / "up").symlink_to("..")
    (root / "circle").symlink_to("circle")
    with pytest.raises(UserError, match="is no name of something in"):
        inside(root, name)


def test_links_stay_and_what_is_no_file_is_written_to(tmp_path):
    target, link, pipe = (tmp_path / name for name in ("target", "link", "pipe"))
    target.write_text("old")
    link.symlink_to(target)
    write_atomically(link, "new")
    assert link.is_symlink() and target.read_text() == "new"
    os.mkfifo(pipe)
    with ThreadPoolExecutor() as pool:
        found = pool.submit(pipe.read_text)
        write_atomically(pipe, "through")
        assert found.result() == "through"
    assert pipe.is_fifo()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "pipe", "target"]
