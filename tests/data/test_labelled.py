"""The user's own labelled files: what is wrong with them is named, with its line and its cure."""

import gzip
import json
import re

import pytest

from lmjax.config import base_config
from lmjax.data.dataset import open_dataset
from lmjax.data.labelled import FAULTY
from lmjax.errors import UserError

GOOD = [(f'text {i} of many, "quoted"\nlines', "pro" if i % 3 else "con") for i in range(200)]


def as_csv(rows, header=("text", "label")):
    def cell(text):
        return '"' + text.replace('"', '""') + '"' if set(text) & set(',"\n') else text

    return "".join(",".join(map(cell, row)) + "\n" for row in (header, *rows))


def data_of(**fields):
    config = base_config("classifier")
    config.data.update(corpus="labelled", tokenizer="label", source_tokenizer="byte")
    config.data.update(fields)
    return config.data


def read(tmp_path, content, name="own.csv", **fields):
    (tmp_path / name).write_text(content)
    return open_dataset(data_of(files=str(tmp_path / name), **fields))


def texts_of(dataset, split):
    stream = dataset.splits[split]
    starts = [*stream.source.document_starts_M, len(stream.source.tokens_N)]
    labels = [dataset.tokenizer.decode([token]) for token in stream.tokens_N]
    sources = [
        dataset.tokenizer.source.decode(stream.source.tokens_N[begin:end])
        for begin, end in zip(starts, starts[1:], strict=False)
    ]
    return list(zip(sources, labels, strict=True))


def all_texts(dataset):
    return sorted(pair for split in dataset.splits for pair in texts_of(dataset, split))


def test_every_row_is_in_one_split_whatever_the_file_is(tmp_path):
    dataset = read(tmp_path, as_csv(GOOD))
    assert all_texts(dataset) == sorted(GOOD)
    sizes = {split: len(texts_of(dataset, split)) for split in dataset.splits}
    assert sizes["train"] > 140 and sizes["validation"] > 8 and sizes["test"] > 8
    assert dataset.tokenizer.target.labels == ("con", "pro")
    assert dataset.reading["rows"] == 200
    lines = "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in GOOD)
    assert all_texts(read(tmp_path, lines, "own.jsonl")) == sorted(GOOD)
    flat = [(text.replace("\n", " "), label) for text, label in GOOD]
    tabs = "".join("\t".join(row) + "\n" for row in (("text", "label"), *flat))
    assert all_texts(read(tmp_path, tabs, "own.tsv")) == sorted(flat)
    (tmp_path / "own.tsv.gz").write_bytes(gzip.compress(tabs.encode("utf-8-sig")))
    dataset = open_dataset(data_of(files=str(tmp_path / "own.tsv.gz")))
    assert all_texts(dataset) == sorted(flat)


def test_columns_have_the_names_that_they_are_given(tmp_path):
    rows = [(str(i), f"{text} a", "+" if i % 2 else "-", "b") for i, (text, _) in enumerate(GOOD)]
    content = as_csv(rows, ("id", "one", "kind", "two"))
    columns = dict(text_column="one", second_column="two", label_column="kind")
    with pytest.raises(UserError, match=r"special_tokens=\('separator',\)"):
        read(tmp_path, content, **columns)
    dataset = read(tmp_path, content, special_tokens=("separator",), **columns)
    assert all_texts(dataset)[0][0].endswith("a<separator>b")


def test_labels_are_not_cleaned(tmp_path):
    dataset = read(tmp_path, as_csv(GOOD), cleaning=("punctuation", "lowercase"))
    assert all_texts(dataset)[0][0] == "text 0 of many quoted\nlines"
    rows = [(text, f"{label}: Yes!") for text, label in GOOD]
    dataset = read(tmp_path, as_csv(rows), cleaning=("punctuation",))
    assert dataset.tokenizer.target.labels == ("con: Yes!", "pro: Yes!")
    numbers = as_csv([(text, f"{i / 10}") for i, (text, _) in enumerate(GOOD)])
    dataset = read(tmp_path, numbers, cleaning=("punctuation",), tokenizer="number")
    assert dataset.tokenizer.decode(dataset.splits["train"].tokens_N[:2]) == "0 0.1"


def test_what_is_no_number_is_named_where_numbers_are_to_be_told(tmp_path):
    rows = [(text, str(i / 7)) for i, (text, _) in enumerate(GOOD)]
    with pytest.raises(UserError, match=r"2 of the 202 rows .* to 1000 \(line 402, 403\)"):
        read(tmp_path, as_csv([*rows, ("a", "many"), ("b", "1000.1")]), tokenizer="number")
    (tmp_path / "test.csv").write_text(as_csv([("a", "99.5")]))
    fields = dict(tokenizer="number", test_files=str(tmp_path / "test.csv"))
    dataset = read(tmp_path, as_csv(rows), **fields)
    assert texts_of(dataset, "test") == [("a", "99.5")]
    assert dataset.left_out() == ["171 rows whose label is rounded to thousandths"]
    few = as_csv([(text, "-1000") for text, _ in GOOD] + [("c", "1000.1"), ("d", "nan")])
    few = read(tmp_path, few, tokenizer="number", faulty_rows="skip")
    assert few.left_out() == ["2 rows whose label is no number from -1000 to 1000, left out"]
    # A tokenizer of numbers may be one of a file, too.
    dataset.tokenizer.save(tmp_path / "tokenizer.json")
    fields |= dict(tokenizer="file", tokenizer_file=str(tmp_path / "tokenizer.json"))
    of_file = read(tmp_path, as_csv(rows), **fields, special_tokens=("mask",))
    assert texts_of(of_file, "test") == [("a", "99.5")]


def test_each_label_is_trained_on_where_one_file_is_split(tmp_path):
    rare = [(f"rare {i}", f"label {i}") for i in range(100)] + [("rare 3", "another label")]
    dataset = read(tmp_path, as_csv(GOOD + rare))
    trained = dict(texts_of(dataset, "train"))
    assert {f"rare {i}" for i in range(100)} <= set(trained)
    assert len(dataset.tokenizer.target.labels) == 103


def test_a_share_of_the_training_texts_leaves_the_labels_as_they_are(tmp_path):
    rare = [(f"rare {i}", f"label {i}") for i in range(10)]
    dataset = read(tmp_path, as_csv(GOOD + rare), train_share=0.1)
    assert len(dataset.tokenizer.target.labels) == 12
    assert len(texts_of(dataset, "train")) < 20


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (dict(label_column="lable"), "has no column 'lable', as data.label_column.*mean 'label'"),
        (dict(text_column="Text"), "has no column 'Text', as data.text_column.*known: label, text"),
        (dict(second_column="b"), "has no column 'b', as data.second_column names it"),
        (dict(faulty_rows="leave"), "unknown data.faulty_rows 'leave'.*skip, strict"),
        (dict(test_files="nowhere.csv"), "nowhere.csv is no file"),
        (dict(source_tokenizer=""), "set data.source_tokenizer to that"),
    ],
)
def test_a_field_that_is_wrong_is_named(tmp_path, fields, message):
    with pytest.raises(UserError, match=message):
        read(tmp_path, as_csv(GOOD), **fields)


def test_the_files_must_be_given():
    with pytest.raises(UserError, match="needs data.files: a .csv, .tsv or .jsonl"):
        open_dataset(data_of())


FAULTS = [*GOOD[:10], ("no label", ""), ("", "pro"), ("none either", " "), *GOOD[10:]]
IN_LINES = "3 of the 203 rows .* 2 without a label .line 22, 24.; 1 with an empty text .line 23."


def test_rows_that_lack_something_are_refused_or_counted(tmp_path):
    with pytest.raises(UserError, match=IN_LINES):
        read(tmp_path, as_csv(FAULTS))
    dataset = read(tmp_path, as_csv(FAULTS), faulty_rows="skip")
    assert all_texts(dataset) == sorted(GOOD)
    assert dataset.reading["rows without a label, left out"] == 2
    assert dataset.reading["rows with an empty text, left out"] == 1
    assert dataset.left_out() == [
        "2 rows without a label, left out",
        "1 rows with an empty text, left out",
    ]
    cleaned = read(tmp_path, as_csv([*GOOD, ("...", "pro")]), cleaning=("punctuation",))
    assert cleaned.left_out() == ["1 documents left out by data.cleaning 'punctuation'"]
    lines = "".join(
        json.dumps({"text": text, "label": label or None}) + "\n" for text, label in FAULTS
    )
    with pytest.raises(UserError, match=r"without a label \(line 11, 13\)"):
        read(tmp_path, lines, "own.jsonl")
    assert set(FAULTY) == {"strict", "skip"}


def test_a_label_that_no_training_row_has_is_refused(tmp_path):
    (tmp_path / "test.csv").write_text(as_csv([("a", "pro"), ("b", "contra"), ("c", "contra")]))
    with pytest.raises(
        UserError, match=r"2 of the 3 rows of test have .*'contra' \(2, the first in test.csv:3\)"
    ):
        read(tmp_path, as_csv(GOOD), test_files=str(tmp_path / "test.csv"))
    (tmp_path / "test.csv").write_text(as_csv([("a", "pro"), ("b", "con")]))
    dataset = read(tmp_path, as_csv(GOOD), test_files=str(tmp_path / "test.csv"))
    assert texts_of(dataset, "test") == [("a", "pro"), ("b", "con")]
    assert len(texts_of(dataset, "train")) + len(texts_of(dataset, "validation")) == 200
    given = dict(validation_files=str(tmp_path / "test.csv"))
    assert set(read(tmp_path, as_csv(GOOD), **given).splits) == {"train", "validation"}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "text,label\na,b,pro\n", "line 2 .* has 3 columns.*names 2.*quotation marks"),
        ("a.csv", 'text,label\n"a\nb",pro\nc\n', "line 4 of .* has 1 columns"),
        ("a.csv", 'text,label\n"a"b,pro\n', "line 2 of .* is no row of a .csv"),
        ("a.tsv", "text\tlabel\na\tb\tpro\n", "line 2 .* has 3 columns.*take tabs out"),
        ("a.csv", "text,text\na,b\n", "two columns 'text'"),
        ("a.csv", "", "has no column 'text'"),
        ("a.csv", "text,label\na,pro\nb,con\n", "leaves no row for (validation|test)"),
        ("a.jsonl", '{"text": "a", "label": "b"}\n{"text": \n', "line 2 of .* is not JSON"),
        ("a.jsonl", '["a"]\n', "line 1 of .* must look like"),
        ("a.txt", "a\n", "is not .csv, .tsv, .jsonl"),
    ],
)
def test_a_file_that_is_wrong_is_named_with_its_line(tmp_path, name, content, message):
    with pytest.raises(UserError, match=re.compile(message, re.DOTALL)):
        read(tmp_path, content, name)


def test_a_label_that_nobody_knows_is_refused(tmp_path):
    tokenizer = read(tmp_path, as_csv(GOOD)).tokenizer
    assert tokenizer.encode("pro").tolist() == [1] and tokenizer.vocabulary_size == 2
    with pytest.raises(UserError, match="'prop' is not among the labels.*did you mean 'pro'"):
        tokenizer.encode("prop")
