"""The corpora: published counts, and array records that give back what was written."""

import os
import subprocess
import sys
from collections import Counter

import pytest

from lmjax.config import base_config
from lmjax.data import corpora
from lmjax.data.corpora import CORPORA, Corpus, open_corpus
from lmjax.data.documents import Document
from lmjax.errors import UserError


def config(corpus, files=""):
    data = base_config().data
    data.corpus, data.files = corpus, files
    return data


def tokens_of(splits):
    """Words and ends of lines, counted from the lines."""
    return {
        split: sum(
            len(line.split()) + 1
            for document in part
            for line in document.text.removesuffix("\n").split("\n")
        )
        for split, part in splits.items()
    }


def test_shakespeare_is_split_as_nanogpt_does(data_dir):
    splits, _ = open_corpus(config("tiny_shakespeare")).read()
    whole = (data_dir / "tiny_shakespeare" / "input.txt").read_text()
    train, validation = splits["train"][0].text, splits["validation"][0].text
    assert list(splits) == ["train", "validation"]
    assert train + validation == whole
    assert (len(train), len(validation)) == (1_003_854, 111_540)
    assert len(set(train)) == len(set(whole)) == 65


@pytest.mark.parametrize(
    ("corpus", "tokens", "vocabulary"),
    [
        ("ptb", {"train": 929_589, "validation": 73_760, "test": 82_430}, 10_000),
        ("wikitext2", {"train": 2_088_628, "validation": 217_646, "test": 245_569}, 33_278),
    ],
)
def test_words_are_as_many_as_published(data_dir, corpus, tokens, vocabulary):
    splits, _ = open_corpus(config(corpus)).read()
    assert tokens_of(splits) == tokens
    assert len({*splits["train"][0].text.split(), "<eos>"}) == vocabulary


def test_other_counts_are_refused(data_dir, monkeypatch):
    monkeypatch.setitem(corpora.PTB_COUNTS, "vocabulary", 10_001)
    with pytest.raises(UserError, match="ptb counts"):
        open_corpus(config("ptb")).read()


def test_prepared_documents_are_those_that_were_read(tmp_path, monkeypatch):
    monkeypatch.setenv("LMJAX_CACHE_DIR", str(tmp_path))
    splits = {
        "train": [Document(f"d{i}", f"text {i}\n\x00é\U0001f600") for i in range(2000)],
        "validation": [Document("long", "word " * 300_000)],
        "test": [
            Document("crlf", "a\r\n"),
            Document("pair", "1", "a", "b"),
            Document("d", "a", "b", further_references=("c", "\n")),
        ],
    }
    reads = []

    def read():
        reads.append(1)
        return splits, Counter(bytes=12)

    corpus = Corpus("made_up", ["1"], read)
    for _ in range(2):
        assert corpus.documents() == (splits, Counter(bytes=12))
    assert len(reads) == 1
    assert list(tmp_path.rglob("*.array_record*"))
    assert list(corpus.documents()[0]) == ["train", "validation", "test"]


def test_an_unknown_corpus_is_named_with_the_nearest():
    with pytest.raises(UserError, match="'wikitext'.*'wikitext2'"):
        open_corpus(config("wikitext"))
    with pytest.raises(UserError, match="not for the corpus 'ptb'"):
        open_corpus(config("ptb", "*.txt"))
    assert {"python_docs", "ptb", "multi30k", "parallel", "text"} <= set(CORPORA)


def test_tensorflow_is_never_imported(tmp_path):
    script = (
        "import sys; from collections import Counter; from lmjax.data.corpora import Corpus\n"
        "from lmjax.data.documents import Document\n"
        "splits = {'train': [Document('a', 'text')]}\n"
        "corpus = Corpus('made_up', ['2'], lambda: (splits, Counter()))\n"
        "assert corpus.documents()[0] == splits\n"
        "print(*{'tensorflow', 'torch', 'jax'} & set(sys.modules))"
    )
    run = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "LMJAX_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert run.stdout == "\n", run.stderr
