from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest

from lmjax.config import base_config
from lmjax.data import corpora
from lmjax.data.blimp import read_blimp
from lmjax.data.byte_tokenizer import ByteTokenizer
from lmjax.data.dataset import open_dataset
from lmjax.data.documents import Document
from lmjax.errors import UserError
from lmjax.objectives.causal import Causal
from lmjax.tasks.acceptability import Acceptability, accuracy_by_group, first_of_each
from lmjax.tasks.predictions import measure
from tests.toy_models import hash_log_prob, make_hash_model

TOKENIZER = ByteTokenizer(False)
KIND = Acceptability()
DOCUMENTS = [
    Document("agreement/one:0", "cats eat", "cats eat", "cats eats"),
    Document("agreement/one:1", "a b", "a b", "a b"),
    Document("agreement/two:0", "the cat", "the cat", "cat the"),
    Document("islands/three:0", "go", "go", "goes"),
]


@pytest.fixture(scope="module")
def trained():
    model, params, table_NV = make_hash_model(TOKENIZER.vocabulary_size)
    return SimpleNamespace(
        model=model, params=params, tokenizer=TOKENIZER, objective=Causal(), table_NV=table_NV
    )


def test_the_likelier_sentence_is_the_answer_and_equal_ones_have_none(trained):
    def log_prob(text):
        ids = TOKENIZER.encode(text).tolist()
        before = [[TOKENIZER.start_id, *ids[:i]] for i in range(len(ids))]
        pairs = zip(before, ids, strict=True)
        return sum(hash_log_prob(trained.table_NV, read, target) for read, target in pairs)

    answers = KIND.answers(trained, DOCUMENTS)
    for document, answer in zip(DOCUMENTS, answers, strict=True):
        margin = log_prob(document.source) - log_prob(document.second)
        assert answer.details["score"] == pytest.approx(margin, abs=1e-4)
        if document.source == document.second:
            assert answer.text == ""
        else:
            assert answer.text == (document.source if margin > 0 else document.second)
        lengths = [len(text.encode()) for text in document.source_parts]
        assert answer.details["tokens"] == lengths


def test_a_tie_is_half_right_and_groups_are_of_names():
    predictions = ["cats eat", "", "cat the", ""]
    metrics = KIND.measure(predictions, [document.text for document in DOCUMENTS])
    assert metrics == {"accuracy": 0.5, "ties": 0.5}
    assert accuracy_by_group(DOCUMENTS, predictions) == {
        "by_phenomenon": {"agreement": 0.5, "islands": 0.5},
        "by_paradigm": {"one": 0.75, "two": 0.0, "three": 0.5},
    }
    measured = measure(KIND, predictions, {"train": [], "test": DOCUMENTS}, "test")
    assert measured["baselines"]["chance"]["accuracy"] == 0.5
    low, high = measured["intervals"]["accuracy"]
    assert 0 <= low < 0.5 < high <= 1


def test_the_first_of_each_paradigm_are_kept_in_order():
    kept = first_of_each(DOCUMENTS, 1)
    assert [document.name for document in kept] == [
        "agreement/one:0",
        "agreement/two:0",
        "islands/three:0",
    ]
    assert first_of_each(DOCUMENTS, 0) == DOCUMENTS


def test_blimp_is_the_published_one(data_dir):
    splits, report = read_blimp()
    assert list(splits) == ["test"] and report["pairs"] == len(splits["test"]) == 67_000
    names = [document.name for document in splits["test"]]
    assert len(set(names)) == 67_000
    paradigms = {name.rpartition(":")[0] for name in names}
    assert len(paradigms) == 67 and len({name.partition("/")[0] for name in paradigms}) == 13
    equal = sum(document.source == document.second for document in splits["test"])
    assert equal == 7
    assert all(document.text == document.source for document in splits["test"])


def test_it_is_kept_as_other_corpora_and_has_no_text_to_train_on(tmp_path, monkeypatch):
    monkeypatch.setenv("LMJAX_CACHE_DIR", str(tmp_path))
    few = corpora.Corpus("blimp", ["few"], lambda: ({"test": DOCUMENTS}, Counter(pairs=4)))
    monkeypatch.setitem(corpora.CORPORA, "blimp", corpora.Source("", lambda data: few))
    data = base_config().data
    data.corpus = "blimp"
    assert corpora.open_corpus(data).documents() == ({"test": DOCUMENTS}, {"pairs": 4})
    with pytest.raises(UserError, match="a test alone"):
        open_dataset(data)


def test_nothing_to_compare_is_said():
    with pytest.raises(UserError, match="no pair"):
        KIND.measure([], [])
    assert np.isclose(KIND.measure(["a"], ["a"])["accuracy"], 1)
