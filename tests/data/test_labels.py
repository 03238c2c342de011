"""Labelled corpora: counts as published, and no question of TREC in two of its splits by chance."""

from collections import Counter

import numpy as np
import pytest

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


def test_sst2_of_glue_has_the_published_labels(data_dir):
    splits = documents_of("sst2_glue")
    counts = {split: Counter(document.text for document in part) for split, part in splits.items()}
    assert counts == {
        "train": {"1": 37_569, "0": 29_780},
        "validation": {"1": 444, "0": 428},
        "test": {"1": 909, "0": 912},
    }
    assert splits["train"][0].source == "hide new secretions from the parental units"
    assert splits["test"] == documents_of("sst2")["test"]


def test_fine_labels_of_trec_are_of_the_same_questions(data_dir):
    fine, coarse = documents_of("trec_fine"), documents_of("trec")
    assert list(fine) == list(coarse)
    for split, part in fine.items():
        for document, other in zip(part, coarse[split], strict=True):
            assert (document.name, document.source) == (other.name, other.source)
            assert document.text.startswith(f"{other.text}:")
    labels = {split: {document.text for document in part} for split, part in fine.items()}
    assert len(labels["train"] | labels["validation"]) == 50 and len(labels["test"]) == 42


def test_ag_news_has_the_published_topics(data_dir):
    splits = documents_of("ag_news")
    counts = Counter(document.text for document in splits["train"] + splits["validation"])
    assert counts == {"Sci/Tech": 2_538, "World": 2_509, "Business": 2_496, "Sports": 2_458}
    assert set(Counter(document.text for document in splits["test"]).values()) == {1_900}
    assert splits["test"][0].text == "Business" and 900 < len(splits["validation"]) < 1_100
    assert splits["test"][0].source.startswith("Unions representing workers at Turner")
    # Of rows with quotation marks, those that CSV puts about them are left out.
    texts = [document.source for document in splits["train"] + splits["validation"]]
    assert not any(text.startswith('"') and text.endswith('"') for text in texts)


def test_newsgroups_are_split_by_date(data_dir):
    splits = documents_of("20news")
    groups = {split: Counter(document.text for document in part) for split, part in splits.items()}
    assert all(len(of_split) == 20 for of_split in groups.values())
    assert sum(groups["test"].values()) == 7_532
    assert sum((groups["train"] + groups["validation"]).values()) == 11_314
    assert groups["test"]["alt.atheism"] == 319 and groups["test"]["talk.religion.misc"] == 251


def test_a_name_is_in_one_split(data_dir):
    splits = documents_of("names")
    names = {split: {document.source for document in part} for split, part in splits.items()}
    assert not names["train"] & names["test"] and not names["train"] & names["validation"]
    counts = Counter(document.text for part in splits.values() for document in part)
    assert counts["Russian"] == 9_384 and counts["Portuguese"] == 74 and len(counts) == 18
    assert all(len({document.text for document in part}) == 18 for part in splits.values())


def test_the_sts_benchmark_has_the_published_ratings(data_dir):
    splits = documents_of("stsbenchmark")
    means = {split: np.mean([float(d.text) for d in part]) for split, part in splits.items()}
    assert means == pytest.approx({"train": 2.701, "validation": 2.364, "test": 2.608}, abs=5e-4)
    first = splits["train"][0]
    assert (first.text, first.source_parts[1]) == ("5", "An air plane is taking off.")
