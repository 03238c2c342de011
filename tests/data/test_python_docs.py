"""The embedded corpus: enough English, always the same, and no module is run for it."""

import subprocess
import sys

import pytest

from lmjax.data import python_docs
from lmjax.data.bpe_tokenizer import BytePairTokenizer
from lmjax.errors import UserError

LIBRARY_FILE = '''"""Docs of the module."""
import does_not_exist
raise SystemExit("executed")


class Shelf(dict):
    """Holds books.

        An indented line.
    The end.
    """

    def add(self, book: str, *, at=0):
        """Adds one."""

        def inner():
            """Not shown."""

    def silent(self):
        pass


async def read(*args):
    """Reads."""
'''


@pytest.fixture
def library(tmp_path, monkeypatch):
    monkeypatch.setattr(python_docs.sysconfig, "get_path", lambda name: str(tmp_path))
    monkeypatch.setattr(python_docs, "LEAST_BYTES", 1)
    for path, content in {
        "shelf.py": LIBRARY_FILE,
        "package/other.py": '"""Other."""',
        "broken.py": "def (",
        "silent.py": "x = 1",
        "test/test_shelf.py": '"""Of the tests."""',
        "site-packages/foreign.py": '"""Foreign."""',
        "pydoc_data/topics.py": "topics = {'b': 'About b.\\n', 'a': 'About a.'}",
    }.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(content)
    return tmp_path


def documents_of(splits):
    return {document.name: document.text for part in splits.values() for document in part}


def test_docstrings_are_read_under_their_heads(library):
    splits, report = python_docs.read_python_docs()
    assert documents_of(splits) == {
        "topics/a": "About a.\n",
        "topics/b": "About b.\n",
        "package/other.py": "package/other.py\n\nOther.\n",
        "shelf.py": "shelf.py\n\nDocs of the module.\n\n"
        "class Shelf:\nHolds books.\n\n    An indented line.\nThe end.\n\n"
        "def add(self, book: str, *, at=0):\nAdds one.\n\n"
        "def inner():\nNot shown.\n\n"
        "def read(*args):\nReads.\n",
    }
    assert report["unreadable_files"] == 1
    order = ["topics/a", "topics/b", "shelf.py", "package/other.py"]
    for part in splits.values():
        names = [document.name for document in part]
        assert names == [name for name in order if name in names]


def test_a_library_without_sources_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(python_docs.sysconfig, "get_path", lambda name: str(tmp_path))
    with pytest.raises(UserError, match="only 0 bytes"):
        python_docs.read_python_docs()


@pytest.fixture(scope="module")
def real():
    return python_docs.read_python_docs()


def test_this_python_has_two_megabytes_in_three_splits(real):
    splits, report = real
    sizes = {split: sum(len(d.text.encode()) for d in part) for split, part in splits.items()}
    assert report["bytes"] == sum(sizes.values()) >= 2_000_000
    assert sizes["validation"] > 20_000 and sizes["test"] > 20_000
    names = [document.name for part in splits.values() for document in part]
    assert len(set(names)) == len(names)
    text = documents_of(splits)["textwrap.py"]
    assert "Wrap a single paragraph of text" in text


def test_other_splits_are_hardly_repeated_in_train(real):
    """Of the runs of 32 byte pairs, which are about a line and a half, few stand in train, too."""
    splits, report = real
    texts = {split: [document.text for document in part] for split, part in splits.items()}
    tokenizer = BytePairTokenizer.train(texts["train"], 1024, False)

    def runs(text, length=32):
        ids_N = tokenizer.encode(text)
        return {ids_N[i : i + length].tobytes() for i in range(len(ids_N) - length + 1)}

    train = set().union(*map(runs, texts["train"]))
    for split in ("validation", "test"):
        own = set().union(*map(runs, texts[split]))
        assert len(own & train) < 0.005 * len(own)
    assert report["paragraphs_left_out"] > 0


def test_another_process_reads_the_same(real):
    script = (
        "import hashlib, sys; from lmjax.data.python_docs import read_python_docs\n"
        "print(hashlib.sha256(repr(read_python_docs()[0]).encode()).hexdigest())\n"
        "assert not {'pydoc_data', 'turtle', 'tkinter'} & set(sys.modules)"
    )
    import hashlib

    mine = hashlib.sha256(repr(real[0]).encode()).hexdigest()
    run = [sys.executable, "-X", "frozen_modules=off", "-c", script]
    assert subprocess.run(run, capture_output=True, text=True, check=True).stdout.strip() == mine
