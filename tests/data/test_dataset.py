"""Datasets: prepared once, whole or not at all, and a new one for every choice that matters."""

import json
import multiprocessing
import os
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

from lmjax.config import base_config
from lmjax.data import dataset
from lmjax.data.cache import build_once
from lmjax.data.corpora import Corpus
from lmjax.data.dataset import open_dataset
from lmjax.data.documents import Document
from lmjax.errors import UserError

TEXT = "".join(f"line {i % 20} of the text\n" for i in range(300))


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("LMJAX_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "notes.txt").write_text(TEXT)
    data = base_config().data
    data.corpus, data.files = "text", str(tmp_path / "*.txt")
    return data


def same_streams(one, other):
    return all(
        np.array_equal(one.splits[split].tokens_N, other.splits[split].tokens_N)
        and one.splits[split].counts == other.splits[split].counts
        and one.splits[split].fingerprint == other.splits[split].fingerprint
        for split in ("train", "validation", "test")
    )


@pytest.mark.parametrize("tokenizer", ["byte", "character", "word", "bpe"])
@pytest.mark.parametrize("document_end", [False, True])
def test_the_tokens_decode_to_the_text(data, tokenizer, document_end):
    data.tokenizer, data.document_end = tokenizer, document_end
    opened = open_dataset(data)
    decoded = [opened.tokenizer.decode(stream.tokens_N) for stream in opened.splits.values()]
    expected = TEXT if tokenizer == "word" or not document_end else TEXT + "\n" * 3
    assert sum(map(len, decoded)) == len(expected)
    assert "".join(decoded).replace("\n", "") == TEXT.replace("\n", "")
    assert opened.tokenizer.vocabulary_size > max(s.tokens_N.max() for s in opened.splits.values())


def test_a_second_opening_reads_no_text_and_no_tfds(data, monkeypatch):
    first = open_dataset(data)
    monkeypatch.setattr(dataset, "_build", None)
    assert same_streams(first, open_dataset(data))
    script = (
        "import sys; from lmjax.config import base_config\n"
        "from lmjax.data.dataset import open_dataset\n"
        f"data = base_config().data; data.corpus, data.files = 'text', {data.files!r}\n"
        "open_dataset(data); print(*{'jax', 'tensorflow_datasets'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert run.stdout == "\n", run.stderr


def test_every_choice_makes_another_dataset(data, tmp_path):
    folders = {open_dataset(data).folder}
    for field, value in [
        ("cleaning", ("lowercase",)),
        ("cleaning", ("lowercase", "nfc")),
        ("cleaning", ("nfc", "lowercase")),
        ("cleaning", ()),
        ("document_end", True),
        ("tokenizer", "word"),
        ("vocabulary_size", 20),
        ("invalid_utf8", "skip"),
    ]:
        data[field] = value
        folders.add(open_dataset(data).folder)
    assert len(folders) == 8, "one choice was taken back"
    (tmp_path / "more.txt").write_text("more\n")
    folders.add(open_dataset(data).folder)
    assert len(folders) == 9
    data.batching, data.batch_size, data.length = "packed", 3, 5
    assert open_dataset(data).folder in folders


def test_a_share_of_the_training_text_leaves_the_other_splits_as_they_are(data, tmp_path):
    for number in range(20):
        (tmp_path / f"{number}.txt").write_text(TEXT)
    whole = open_dataset(data)
    data.train_share = 0.5
    part = open_dataset(data)
    sizes = [opened.splits["train"].counts.bytes for opened in (part, whole)]
    assert sizes[0] == pytest.approx(sizes[1] / 2, rel=0.1)
    for split in ("validation", "test"):
        assert part.splits[split].fingerprint == whole.splits[split].fingerprint
    for share in (0.0, 1.1):
        data.train_share = share
        with pytest.raises(UserError, match="more than 0 and at most 1"):
            open_dataset(data)


def test_cleaning_and_reading_are_reported_each_time(data, tmp_path):
    (tmp_path / "marked.txt").write_bytes(b"\xef\xbb\xbfMARKED\r\n" * 9)
    data.cleaning = ("lowercase", "deduplicate")
    for _ in range(2):
        opened = open_dataset(data)
        assert opened.reading["byte_order_marks"] == 1 and opened.reading["carriage_returns"] == 9
        assert [report.step for report in opened.cleaning] == ["lowercase", "deduplicate"]
        assert opened.cleaning[0].documents_changed == 1


def test_unknowns_of_the_other_splits_are_counted(data, tmp_path):
    (tmp_path / "notes.txt").write_text(TEXT + "zebra\n")
    data.tokenizer = "word"
    opened = open_dataset(data)
    assert opened.tokenizer.unknown_id == 1
    assert opened.splits["train"].counts.unknowns == 0
    assert opened.splits["test"].counts.unknowns > 0


@pytest.mark.parametrize("tokenizer", ["byte", "character", "word", "bpe"])
def test_no_tokenizer_knows_of_the_other_splits(data, tokenizer, monkeypatch):
    """Whatever validation and test hold, the tokenizer is the training split's."""
    data.tokenizer = tokenizer
    made = []
    for other in ("line", "\U0001f600 zebra"):
        splits = {"train": TEXT, "validation": other, "test": other}
        documents = {split: [Document(split, text)] for split, text in splits.items()}
        corpus = Corpus("made_up", [other], lambda documents=documents: (documents, Counter()))
        monkeypatch.setattr(dataset, "open_corpus", lambda data, corpus=corpus: corpus)
        made.append(open_dataset(data).tokenizer)
    assert made[0] == made[1]


def test_a_closed_vocabulary_of_which_not_all_is_read_as_published_is_open(data, monkeypatch):
    documents = {split: [Document(split, "A b\n")] * 2 for split in ("train", "validation")}
    corpus = Corpus("made_up", [], lambda: (documents, Counter()), closed=("word",))
    monkeypatch.setattr(dataset, "open_corpus", lambda data: corpus)
    data.tokenizer = "word"
    assert open_dataset(data).tokenizer.unknown_id is None
    data.cleaning = ("lowercase",)
    assert open_dataset(data).tokenizer.unknown_id == 1
    data.cleaning, data.train_share = (), 0.5
    assert open_dataset(data).tokenizer.unknown_id == 1
    data.train_share, data.tokenizer = 1.0, "character"
    assert open_dataset(data).tokenizer.unknown_id == 4


def test_two_processes_may_prepare_at_a_time(data):
    context = multiprocessing.get_context("spawn")
    with context.Pool(2) as pool:
        folders = pool.map(_prepare, [(data.files, os.environ["LMJAX_CACHE_DIR"])] * 2, 1)
    assert folders[0] == folders[1] == str(open_dataset(data).folder)
    assert not list(open_dataset(data).folder.parent.glob(".*"))


def _prepare(arguments):
    files, os.environ["LMJAX_CACHE_DIR"] = arguments
    data = base_config().data
    data.corpus, data.files = "text", files
    return str(open_dataset(data).folder)


def test_an_interrupted_preparation_leaves_nothing(data, monkeypatch):
    def stop(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(dataset, "write_stream", stop)
    with pytest.raises(KeyboardInterrupt):
        open_dataset(data)
    assert not list((dataset.cache_directory() / "datasets").glob("*"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"splits": []}, "dataset.json: 'splits' should be: object"),
        ({"splits": {}}, "dataset.json: 'splits.train' should be: object, not None"),
        ({"reading": {"files": -1}}, "dataset.json: 'reading.files' should be: count, not -1"),
        ({"cleaning_reports": [{}]}, "'what is in cleaning_reports.*should be"),
    ],
)
def test_a_damaged_description_is_named(data, change, message):
    path = open_dataset(data).folder / "dataset.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(UserError, match=message):
        open_dataset(data)


def test_the_first_of_two_builders_wins(tmp_path):
    def build_late(folder):
        build_once(tmp_path / "made", lambda first: (first / "by").write_text("first"))
        (folder / "by").write_text("second")

    build_once(tmp_path / "made", build_late)
    assert (tmp_path / "made" / "by").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


def test_a_cache_that_cannot_be_written_is_named(data, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LMJAX_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(UserError, match=r"cannot write .*LMJAX_CACHE_DIR"):
        open_dataset(data)


@pytest.mark.parametrize(
    ("field", "value", "nearest"),
    [
        ("corpus", "texts", "'text'"),
        ("tokenizer", "words", "'word'"),
        ("cleaning", ("htm",), "'html'"),
        ("invalid_utf8", "strikt", "'strict'"),
    ],
)
def test_mistyped_choices_are_refused_before_any_text_is_read(data, field, value, nearest):
    data[field] = value
    data.files = "no/such/folder/*.txt"
    with pytest.raises(UserError, match=f"did you mean {nearest}"):
        open_dataset(data)


def test_cleaning_that_leaves_nothing_is_refused(data, tmp_path):
    (tmp_path / "notes.txt").write_text("?" * 1000)
    data.cleaning = ("punctuation",)
    with pytest.raises(UserError, match="no text"):
        open_dataset(data)


@pytest.mark.parametrize(
    ("corpus", "tokenizer", "vocabulary"),
    [
        ("tiny_shakespeare", "character", 65),
        ("ptb", "word", 10_000),
        ("wikitext2", "word", 33_278),
    ],
)
def test_public_corpora_have_the_published_vocabulary(data_dir, corpus, tokenizer, vocabulary):
    data = base_config().data
    data.corpus, data.tokenizer = corpus, tokenizer
    opened = open_dataset(data)
    assert opened.tokenizer.vocabulary_size == vocabulary
    for stream in opened.splits.values():
        assert stream.counts.unknowns == 0
        decoded = opened.tokenizer.decode(stream.tokens_N)
        assert len(decoded) == stream.counts.characters, "every blank comes back"
    if tokenizer == "word":
        literal = opened.tokenizer.encode("<unk>")
        times = [int((stream.tokens_N == literal).sum()) for stream in opened.splits.values()]
        assert times == {
            "ptb": [45_020, 3_485, 4_794],
            "wikitext2": [54_625, 11_718, 15_218],
        }.get(corpus)
