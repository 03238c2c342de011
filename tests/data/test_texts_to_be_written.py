"""Texts to be written, poems and surnames: counts as published, and none in two splits."""

import pytest

from lmjax.config import base_config
from lmjax.data import poems
from lmjax.data.corpora import open_corpus
from lmjax.errors import UserError


def read(corpus):
    data = base_config("transformer").data
    data.corpus = corpus
    return open_corpus(data).read()


def test_tang_poems_are_those_published_and_split_by_poem(data_dir, monkeypatch):
    splits, report = read("chinese_poetry_tang")
    assert report == {
        "poems": 57_607,
        "characters": 3_668_082,
        "poems_without_text_left_out": 220,
    }
    assert sum(map(len, splits.values())) == 57_607 - 220
    assert splits["train"][0].text.split("\n")[:2] == [
        "秦川雄帝宅，函谷壯皇居。",
        "綺殿千尋起，離宮百雉餘。",
    ]
    texts = [{document.text for document in part} for part in splits.values()]
    assert sum(map(len, texts)) == len(set.union(*texts))
    assert 0.04 < len(splits["test"]) / 57_387 < 0.06
    monkeypatch.setitem(poems.TANG_COUNTS, "poems", 57_608)
    with pytest.raises(UserError, match="chinese_poetry_tang counts"):
        read("chinese_poetry_tang")


def test_surnames_are_those_of_the_labelled_names_each_once(data_dir):
    splits, report = read("surnames")
    labelled, _ = read("names")
    assert report["names"] == 20_050
    for split, part in splits.items():
        texts = [document.text for document in part]
        assert len(texts) == len(set(texts))
        assert set(texts) == {document.source for document in labelled[split]}
    assert sum(map(len, splits.values())) == report["distinct_names"] == 17_450
