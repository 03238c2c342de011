"""Corpora of pairs."""

import json

import pytest

from lmjax.config import base_config
from lmjax.data.corpora import open_corpus
from lmjax.data.dataset import open_dataset
from lmjax.errors import UserError


def data_of(corpus, **fields):
    data = base_config().data
    data.corpus = corpus
    data.update(fields)
    return data


def read(corpus, **fields):
    return open_corpus(data_of(corpus, **fields)).read()


def lines(count, side):
    return [f"{side} {number}" for number in range(count)]


def write(path, texts):
    path.write_text("\n".join(texts) + "\n")
    return str(path)


@pytest.mark.parametrize("form", ["lines", "tsv", "jsonl"])
def test_ones_own_pairs(form, tmp_path):
    sources, targets = lines(300, "quelle"), lines(300, "target")
    sources[7] = sources[8] = "twice"
    if form == "lines":
        fields = dict(
            files=write(tmp_path / "en.txt", targets),
            source_files=write(tmp_path / "de.txt", sources),
        )
    elif form == "tsv":
        both = [f"{source}\t{target}" for source, target in zip(sources, targets, strict=True)]
        fields = dict(files=write(tmp_path / "both.tsv", both))
    else:
        both = [
            json.dumps({"source": source, "target": target})
            for source, target in zip(sources, targets, strict=True)
        ]
        fields = dict(files=write(tmp_path / "both.jsonl", both))
    splits, report = read("parallel", **fields)
    documents = sum(splits.values(), [])
    assert sorted((d.source, d.text) for d in documents) == sorted(
        zip(sources, targets, strict=True)
    )
    assert report["pairs"] == 300
    of_split = {split: {d.source for d in part} for split, part in splits.items()}
    assert not of_split["train"] & of_split["validation"] | of_split["train"] & of_split["test"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.tsv", "one\ttwo\nthree\n", "line 2 of .* has 1 columns"),
        ("a.tsv", "one\ttwo\n\tthree\n", "line 2 of .* has an empty source"),
        ("a.jsonl", '{"source": "a", "target": "b"}\n[1]\n', "line 2 of .* must look like"),
        ("a.jsonl", "{\n", "line 1 of .* is not JSON"),
        ("a.tsv", "one\ttwo\n", "too few pairs"),
        ("a.txt", "one\n", "give data.source_files"),
    ],
)
def test_what_does_not_pair_is_named(name, content, message, tmp_path):
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=message):
        read("parallel", files=str(tmp_path / name))


def test_files_of_unequal_length_name_the_first_line_alone(tmp_path):
    fields = dict(
        files=write(tmp_path / "en", lines(5, "a")),
        source_files=write(tmp_path / "de", lines(7, "b")),
    )
    with pytest.raises(UserError, match="line 6 is on one side alone"):
        read("parallel", **fields)


def test_multi30k(data_dir):
    splits, _ = read("multi30k")
    assert {split: len(part) for split, part in splits.items()} == {
        "train": 29_000,
        "validation": 1_014,
        "test": 1_000,
    }
    first = splits["train"][0]
    assert first.source.startswith("Zwei junge weiße Männer")
    assert first.text.startswith("Two young, White males")
    turned, _ = read("multi30k", direction="en-de")
    assert (turned["train"][0].source, turned["train"][0].text) == (first.text, first.source)
    with pytest.raises(UserError, match=r"unknown data\.direction 'de-fr'"):
        read("multi30k", direction="de-fr")


def test_no_source_of_french_and_english_stands_in_two_splits(data_dir):
    splits, report = read("fra_eng")
    assert report["pairs"] == sum(map(len, splits.values())) == 142_787
    sources = [{document.source for document in part} for part in splits.values()]
    assert sum(map(len, sources)) == len(set.union(*sources)) == 98_659
    assert splits["train"][0].source in ("Go.", "Run!", "Wow!")


def test_scitldr(data_dir):
    splits, report = read("scitldr")
    assert [len(splits[split]) for split in splits] == [1_992, 619, 618]
    assert report["further_references"] == 1_453 - 619 + 1_967 - 618
    found = {split: sum(len(each.references) for each in part) for split, part in splits.items()}
    assert found == {"train": 1_992, "validation": 1_453, "test": 1_967}
    first = splits["train"][0]
    assert first.source.startswith("Due to the success of deep learning to solving a variety")
    assert first.text.startswith("We provide necessary and sufficient analytical forms")
    documents = sum(splits.values(), [])
    assert all(" ".join(text.split()) == text for d in documents for text in (d.text, d.source))
    assert len({document.name for document in documents}) == 3_229


@pytest.mark.parametrize("own", [False, True])
def test_tokenizers_of_one_side_or_of_both(own, tmp_path):
    fields = dict(
        files=write(tmp_path / "en.txt", lines(300, "target")),
        source_files=write(tmp_path / "de.txt", lines(300, "quelle")),
        tokenizer="word",
        document_end=True,
        source_tokenizer="character" if own else "",
        special_tokens=("mask",),
    )
    dataset = open_dataset(data_of("parallel", **fields))
    tokenizer, train = dataset.tokenizer, dataset.splits["train"]
    assert train.counts.documents == train.source.counts.documents
    first = train.source.tokens_N[: train.source.document_starts_M[1]]
    assert tokenizer.source.decode(first).startswith("quelle ")
    assert (tokenizer.source is tokenizer) is not own
    assert tokenizer.source.special_id("mask") == tokenizer.source.vocabulary_size - 1
    assert train.tokens_N[train.document_starts_M[1] - 1] == tokenizer.end_id
    again = open_dataset(data_of("parallel", **fields))
    assert again.splits["train"].fingerprint == train.fingerprint
