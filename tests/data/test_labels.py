"""Labelled corpora: counts as published, and no question of TREC in two of its splits by chance."""

from collections import Counter

from lmjax.config import base_config
from lmjax.data.corpora import open_corpus


def documents_of(name):
    data = base_config("classifier").data
    data.corpus = name
    return open_corpus(data).read()[0]


def test_sst2_has_the_published_labels(data_dir):
    splits = documents_of("sst2")
    counts = {split: Counter(document.text for document in part) for split, part in splits.items()}
    assert counts == {
        "train": {"1": 3_610, "0": 3_310},
        "validation": {"1": 444, "0": 428},
        "test": {"1": 909, "0": 912},
    }
    assert splits["train"][1].source.startswith("apparently reassembled from the cutting room")


def test_trec_has_the_published_labels_and_splits_by_question(data_dir):
    splits = documents_of("trec")
    counts = Counter(document.text for document in splits["train"] + splits["validation"])
    published = {"ENTY": 1_250, "HUM": 1_223, "DESC": 1_162, "NUM": 896, "LOC": 835, "ABBR": 86}
    assert counts == published
    assert len(splits["test"]) == 500 and 450 < len(splits["validation"]) < 640
    trained, validated = (
        {document.source for document in splits[split]} for split in ("train", "validation")
    )
    assert not trained & validated
    assert not any("\ufffd" in document.source for document in splits["train"])
