"""Poems: counts as published, and none in two splits."""

import pytest

from lmjax.config import base_config
from lmjax.data import poems
from lmjax.data.corpora import open_corpus
from lmjax.errors import UserError


def tang():
    data = base_config("transformer").data
    data.corpus = "chinese_poetry_tang"
    return open_corpus(data).read()


def test_tang_poems_are_those_published_and_split_by_poem(data_dir, monkeypatch):
    splits, report = tang()
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
        tang()
