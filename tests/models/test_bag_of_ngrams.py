"""Logistic regression on n-grams, beside scikit-learn's own pipeline."""

import builtins
import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from lmjax.config import base_config, choose
from lmjax.data.dataset import open_dataset, read_documents
from lmjax.errors import UserError
from lmjax.models.bag_fit import number_distinct
from lmjax.models.registry import build_model
from lmjax.training.run import train

TOPICS = {"sea": "ship wave fish sand", "wood": "tree leaf bear sand", "town": "car street sand"}


def write_pairs(folder, labels, count=300):
    """Sentences of some words of their label's topic, and of others."""
    generator, rows = np.random.default_rng(0), []
    for number in range(count):
        label = labels[number % len(labels)]
        words = [*TOPICS[label].split(), "the", "a", f"rare{generator.integers(40)}"]
        source = " ".join(generator.choice(words, generator.integers(1, 9)))
        rows.append({"source": f"{source} end{number}", "target": label})
    path = folder / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def config_of(folder, labels=("sea", "wood", "town"), **model):
    config = base_config("bag_of_ngrams")
    config.model.update(model)
    config.data.update(corpus="parallel", files=write_pairs(folder, labels))
    config.evaluation.splits = ("validation", "test")
    return config


def their_pipeline(order, features, least_documents, inverse_penalty):
    options = dict(ngram_range=(1, order), min_df=least_documents, analyzer="word", lowercase=False)
    options["token_pattern"] = r"\S+"
    if features == "tf_idf":
        vectorizer = TfidfVectorizer(**options)
    else:
        vectorizer = CountVectorizer(**options, binary=features == "presence")
    return make_pipeline(vectorizer, LogisticRegression(C=inverse_penalty, max_iter=10_000))


@pytest.mark.parametrize(
    ("labels", "order", "features", "least_documents", "inverse_penalty"),
    [
        (("sea", "wood", "town"), 2, "tf_idf", 1, 1.0),
        (("sea", "wood", "town"), 3, "counts", 2, 0.3),
        (("sea", "wood", "town"), 2, "presence", 3, 10.0),
        (("sea", "town"), 2, "tf_idf", 1, 5.0),
    ],
)
def test_it_is_scikit_learns_pipeline(
    tmp_path, labels, order, features, least_documents, inverse_penalty
):
    choices = dict(order=order, features=features, least_documents=least_documents)
    config = config_of(tmp_path, labels, **choices, inverse_penalty=inverse_penalty)
    results = train(config, tmp_path / "run")
    documents, _, _ = read_documents(config.data)
    theirs = their_pipeline(**choices, inverse_penalty=inverse_penalty)
    train_part = documents["train"]
    theirs.fit([d.source for d in train_part], [d.text for d in train_part])
    for split in ("validation", "test"):
        part = documents[split]
        probabilities = theirs.predict_proba([d.source for d in part])
        columns = [list(theirs.classes_).index(d.text) for d in part]
        nats = -np.log(probabilities[np.arange(len(part)), columns])
        score = results["splits"][split]
        assert score["total_nats"] == pytest.approx(nats.sum(), rel=1e-4)
        assert score["right"] == (probabilities.argmax(axis=1) == columns).sum()
        assert score["accuracy"] > 0.5
    assert json.loads((tmp_path / "run" / "results.json").read_text())["training"]["steps"] == 0


def test_a_label_that_no_document_has_is_improbable_and_one_alone_is_certain(tmp_path):
    config = config_of(tmp_path, ("sea",))
    config.data.tokenizer = "word"  # which has tokens beside the labels
    results = train(config, tmp_path / "run")
    assert results["splits"]["test"]["total_nats"] == pytest.approx(0, abs=1e-6)
    dataset = open_dataset(config.data)
    model = build_model(config.model, dataset.tokenizer)
    params = model.fit([dataset.splits["train"]])
    logits_BTV, _ = model.apply(params, np.zeros((1, 1), np.int32))
    assert logits_BTV[0, 0].tolist() == pytest.approx([-30.0, -30.0, 0.0])


def test_without_scikit_learn_it_says_what_to_install(tmp_path, monkeypatch):
    imported = builtins.__import__

    def without(name, *arguments, **options):
        if name.startswith("sklearn"):
            raise ImportError(name)
        return imported(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UserError, match=r"pip install 'lmjax\[tasks\]'"):
        train(config_of(tmp_path), tmp_path / "run")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"features": "tfidf"}, "unknown model.features 'tfidf': did you mean 'tf_idf'"),
        ({"least_documents": 0}, "model.least_documents is 0; it is at least 1"),
        ({"inverse_penalty": 0.0}, "model.inverse_penalty is 0.0; give more than 0"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path, fields, message):
    with pytest.raises(UserError, match=message):
        train(config_of(tmp_path, **fields), tmp_path / "run")


def test_texts_in_place_of_labels_are_refused(tmp_path):
    config = config_of(tmp_path)
    config.data.tokenizer = "byte"
    choose(config, "objective", "seq2seq")
    with pytest.raises(UserError, match="tells a label of one token"):
        train(config, tmp_path / "run")


def test_what_is_fitted_has_a_source_and_one_label_each(tmp_path):
    config = config_of(tmp_path)
    stream = open_dataset(config.data).splits["train"]
    model = build_model(config.model, open_dataset(config.data).tokenizer)
    starts_M = stream.document_starts_M.copy()
    starts_M[1] += 1  # two labels of the first document, and none of the second
    with pytest.raises(UserError, match="tells a label of one token"):
        model.fit([replace(stream, document_starts_M=starts_M)])
    with pytest.raises(UserError, match="tells the label of a source.*choose a corpus of labels"):
        model.fit([replace(stream, source=None)])


def test_sources_cannot_be_augmented(tmp_path):
    config = config_of(tmp_path)
    config.data.augmentation = ("swap=0.1",)
    with pytest.raises(UserError, match="reads each source once, as it is"):
        train(config, tmp_path / "run")


def test_weights_of_labels_that_it_would_not_heed_are_refused(tmp_path):
    config = config_of(tmp_path)
    config.objective.class_weights = "balanced"
    with pytest.raises(UserError, match="this model is counted; leave them out"):
        train(config, tmp_path / "run")


@pytest.mark.parametrize("space", [50, 5000])
def test_marking_and_sorting_number_alike(space):
    keys = np.random.default_rng(0).integers(0, 50, size=30)
    distinct, numbers = number_distinct(keys, space)
    np.testing.assert_array_equal(distinct, sorted(set(keys.tolist())))
    np.testing.assert_array_equal(distinct[numbers], keys)
