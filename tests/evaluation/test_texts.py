"""Scores of texts against one text at a time, without batches, buckets or carries."""

import dataclasses
import math
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.config import model_config, objective_config
from lmjax.data.blimp import read_blimp
from lmjax.data.word_tokenizer import WordTokenizer
from lmjax.data.wrapped_tokenizers import SpecialTokenizer
from lmjax.errors import UserError
from lmjax.evaluation.texts import span_log_probs, stream_of_rows, text_log_probs
from lmjax.models.registry import build_model
from lmjax.objectives.causal import Causal
from lmjax.objectives.registry import make_objective
from tests.toy_models import hash_log_prob, make_hash_model

SMALL = {
    "ngram": dict(order=3),
    "rnn": dict(width=12, layers=1),
    "transformer": dict(width=16, layers=1, heads=2, context_length=48),
    "bert": dict(width=16, layers=1, heads=2, context_length=48, feed_forward_width=16),
    "bilstm": dict(width=8, layers=1),
}
TRAINED_BY = {"bert": "masked", "bilstm": "both_directions"}


@pytest.fixture(scope="module")
def sentences(data_dir):
    """Both sentences of 500 pairs, drawn by a seed from all paradigms."""
    pairs = read_blimp()[0]["test"]
    drawn = np.random.default_rng(0).choice(len(pairs), 500, replace=False)
    return [text for place in drawn for text in pairs[place].source_parts]


@pytest.fixture(scope="module")
def tokenizer(sentences):
    words = WordTokenizer.train(sentences, vocabulary_size=300, closed=False)
    return SpecialTokenizer(words, ("mask", "class", "separator"))


def made(name, tokenizer, sentences):
    config = model_config(name)
    config.update(SMALL[name])
    model = build_model(config, tokenizer)
    objective = make_objective(objective_config(TRAINED_BY.get(name, "causal")), tokenizer)
    if model.is_counted:
        rows = [tokenizer.encode(text).tolist() for text in sentences[::3]]
        return model, model.fit([stream_of_rows(rows, tokenizer.start_id)]), objective
    params = model.init(jax.random.key(1), jnp.zeros((1, 4), jnp.int32))
    sharper = jax.tree.map(lambda leaf: 3 * leaf, nn.meta.unbox(params))
    return model, sharper, objective


@partial(jax.jit, static_argnums=0)
def read(model, params, tokens_BT):
    return model.apply(params, tokens_BT)[0]


def by_hand(model, params, tokenizer, objective, text):
    """From the definition, in float64 after the logits."""
    ids = tokenizer.encode(text).tolist()
    if model.reads == "past":
        logits_TV = read(model, params, jnp.asarray([[tokenizer.start_id, *ids[:-1]]]))[0]
    else:
        row = [tokenizer.special_id("class"), *ids, tokenizer.special_id("separator")]
        shown_TT = np.array([row] * len(ids), np.int32)
        for place in range(len(ids)):
            shown_TT[place, place + 1] = tokenizer.special_id("mask")
        logits_TTV = read(model, params, jnp.asarray(shown_TT))
        logits_TV = [logits_TTV[place, place + 1] for place in range(len(ids))]
    total = 0.0
    for logits_V, token in zip(np.asarray(logits_TV, np.float64), ids, strict=True):
        total += logits_V[token] - math.log(np.exp(logits_V - logits_V.max()).sum())
        total -= logits_V.max()
    known = set(tokenizer.inner.words)
    unknown = [word for word in text.split() if word not in known]
    return total - math.log(257) * sum(len(word.encode()) + 1 for word in unknown)


@pytest.mark.parametrize("name", ["ngram", "rnn", "transformer", "bert"])
def test_500_pairs_equal_those_read_one_at_a_time(name, sentences, tokenizer):
    model, params, objective = made(name, tokenizer, sentences)
    found = text_log_probs(model, params, tokenizer, sentences, objective)
    expected = [by_hand(model, params, tokenizer, objective, text) for text in sentences]
    np.testing.assert_allclose(found.log_probs_N, expected, rtol=2e-5, atol=1e-4)
    assert found.tokens_N.tolist() == [len(text.split()) for text in sentences]
    assert 0 < (found.unknowns_N > 0).sum() < len(sentences)
    assert np.ptp(found.log_probs_N / found.tokens_N) > 0.1


def test_texts_of_a_model_of_both_directions_have_the_scores_that_each_has_alone(
    sentences, tokenizer
):
    model, params, objective = made("bilstm", tokenizer, sentences)
    texts = sentences[:20]
    alone = [text_log_probs(model, params, tokenizer, [text], objective) for text in texts]
    together = text_log_probs(model, params, tokenizer, texts, objective)
    expected = [score.log_probs_N[0] for score in alone]
    np.testing.assert_allclose(together.log_probs_N, expected, rtol=1e-5)


def test_spans_of_rows_are_scored_given_what_stands_before():
    model, params, table_NV = make_hash_model(limit=9)
    rows = [[1, 2, 3, 4], [5, 0, 1], [2] * 9, [1, 2, 3, 4], [3]]
    spans = [(2, 4), (0, 3), (8, 9), (1, 1), (0, 1)]
    found_N = span_log_probs(model, params, rows, spans, start_id=0)
    for found, row, (first, last) in zip(found_N, rows, spans, strict=True):
        expected = sum(
            hash_log_prob(table_NV, [0, *row[:place]], row[place]) for place in range(first, last)
        )
        assert found == pytest.approx(expected, rel=1e-5, abs=1e-9)


def test_equal_tokens_have_equal_scores_and_each_is_scored_once(tokenizer):
    model, params, _ = make_hash_model(tokenizer.vocabulary_size)
    done = []
    texts = ["the the", "the dogs", "the the", "the  the"]
    found = text_log_probs(model, params, tokenizer, texts, on_scored=done.append)
    assert sum(done) == 2
    assert found.log_probs_N[0] == found.log_probs_N[2] == found.log_probs_N[3]
    assert found.log_probs_N[0] != found.log_probs_N[1]


@pytest.mark.parametrize(
    ("texts", "says"), [(["a", " "], "text 2 has no tokens"), (["a " * 10], "takes 10 tokens")]
)
def test_what_cannot_be_scored_is_refused(tokenizer, texts, says):
    model, params, _ = make_hash_model(tokenizer.vocabulary_size, limit=9)
    with pytest.raises(UserError, match=says):
        text_log_probs(model, params, tokenizer, texts)


def test_a_model_of_sources_is_refused(tokenizer):
    @dataclasses.dataclass(frozen=True)
    class OfSources(Causal):
        needs_source = True

    model, params, _ = make_hash_model(tokenizer.vocabulary_size)
    with pytest.raises(UserError, match="no texts by themselves"):
        text_log_probs(model, params, tokenizer, ["a"], OfSources())
