"""The n-gram model against a dictionary scorer written from the definition, and as a model."""

from functools import partial
from itertools import pairwise
from types import SimpleNamespace

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.config import model_config
from lmjax.errors import UserError
from lmjax.models.ngram import NGramModel
from lmjax.models.registry import build_model
from tests.models.reference_ngram import ReferenceNGram

VOCABULARY = 12
END = 3
SMOOTHINGS = ("kneser_ney", "modified_kneser_ney")
# smoothing, order, sentence boundary
CASES = [(smoothing, order, order != 3) for smoothing in SMOOTHINGS for order in (1, 2, 3, 5)]
CASES += [("modified_kneser_ney", order, order == 3) for order in (2, 3, 5)]


def stream(tokens, start_id=END):
    return SimpleNamespace(tokens_N=np.asarray(tokens, np.uint16), start_id=start_id)


def zipf_tokens(seed, length):
    generator = np.random.default_rng(seed)
    weights = 1 / np.arange(1, VOCABULARY + 1)
    tokens = generator.choice(VOCABULARY, size=length, p=weights / weights.sum())
    return np.repeat(tokens, 1 + (tokens % 5 == 1))  # some words come in pairs


TRAINING = [stream(zipf_tokens(0, 400)), stream(zipf_tokens(1, 80), start_id=0)]
HELD_OUT = zipf_tokens(2, 60)[:60].astype(np.int32)


def ngram(smoothing="modified_kneser_ney", order=4, boundary=False, vocabulary=VOCABULARY):
    return NGramModel(
        vocabulary_size=vocabulary,
        order=order,
        smoothing=smoothing,
        sentence_boundary=boundary,
        end_id=END,
    )


def inputs(tokens, start_id=END):
    return np.concatenate([[start_id], tokens[:-1]]).astype(np.int32)


@partial(jax.jit, static_argnums=0, static_argnames="method")
def apply(model, *arguments, **context):
    return model.apply(*arguments, **context)


def log_probs(model, parameters, tokens):
    read, targets = jnp.asarray(inputs(tokens))[None], jnp.asarray(tokens, jnp.int32)[None]
    log_probs_BT, _ = apply(model, parameters, read, targets, method="log_probs")
    return np.asarray(log_probs_BT[0], np.float64)


@pytest.mark.parametrize(("smoothing", "order", "boundary"), CASES)
def test_equals_the_definition(smoothing, order, boundary):
    model = ngram(smoothing, order, boundary)
    parameters = model.fit(TRAINING)
    reference = ReferenceNGram(TRAINING, order, VOCABULARY, smoothing, END if boundary else -1)
    expected = np.array(reference.distributions(inputs(HELD_OUT)))
    logits_BTV, _ = apply(model, parameters, jnp.asarray(inputs(HELD_OUT))[None])
    distributions = np.exp(np.asarray(logits_BTV[0], np.float64))
    np.testing.assert_allclose(distributions, expected, rtol=1e-6)
    np.testing.assert_allclose(distributions.sum(-1), 1, atol=1e-6)
    picked = expected[np.arange(HELD_OUT.size), HELD_OUT]
    np.testing.assert_allclose(
        np.exp(log_probs(model, parameters, HELD_OUT)), picked, rtol=1e-6, err_msg="log_probs"
    )


CORPORA = {
    "one_token": [[1]],
    "one_word_again_and_again": [[2] * 30],
    "shorter_than_the_order": [[1, 2], [END]],
    "each_word_once": [[0, 1, 2, 4]],
}


@pytest.mark.parametrize("corpus", CORPORA)
@pytest.mark.parametrize("smoothing", SMOOTHINGS)
def test_degenerate_corpora_give_sound_distributions(corpus, smoothing):
    streams = [stream(tokens) for tokens in CORPORA[corpus]]
    model = ngram(smoothing, order=5, vocabulary=5)
    read = np.array([END, 2, 2, 1, 2, 4], np.int32)
    logits_BTV, _ = apply(model, model.fit(streams), jnp.asarray(read)[None])
    distributions = np.exp(np.asarray(logits_BTV[0], np.float64))
    reference = ReferenceNGram(streams, 5, 5, smoothing, -1)
    np.testing.assert_allclose(distributions, reference.distributions(read), rtol=1e-6)
    np.testing.assert_allclose(distributions.sum(-1), 1, atol=1e-6)
    assert distributions.min() > 0


def test_a_model_that_has_counted_nothing_is_uniform():
    model = ngram()
    parameters = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, 1), jnp.int32))
    chex.assert_trees_all_equal_structs(parameters, model.fit(TRAINING))
    np.testing.assert_allclose(
        np.exp(log_probs(model, parameters, HELD_OUT)), 1 / VOCABULARY, rtol=1e-6
    )


@pytest.mark.parametrize("order", [1, 4])
@pytest.mark.parametrize("segmented", [False, True])
def test_chunks_equal_the_whole(order, segmented):
    model = ngram(order=order)
    parameters = model.fit(TRAINING)
    tokens_BT = jnp.asarray(HELD_OUT[:24].reshape(2, 12))
    segments_BT = jnp.asarray([[0] * 3 + [1] * 6 + [2] * 3, [5] * 1 + [6] * 4 + [7] * 7])

    def read(edges):
        carry, logits = model.initial_carry(2, 12), []
        for begin, end in pairwise([0, *edges, 12]):
            segments = segments_BT[:, begin:end] if segmented else None
            chunk_BTV, carry = apply(
                model, parameters, tokens_BT[:, begin:end], carry, segment_ids_BT=segments
            )
            logits.append(chunk_BTV)
        return jnp.concatenate(logits, axis=1), carry

    whole = read([])
    assert all(leaf.shape[0] == 2 for leaf in jax.tree.leaves(whole[1]))
    chex.assert_trees_all_equal(read([4, 8]), whole)
    chex.assert_trees_all_equal(read(range(1, 12)), whole)
    without_carry_BTV, carry = apply(
        model, parameters, tokens_BT, segment_ids_BT=segments_BT if segmented else None
    )
    assert carry is None
    chex.assert_trees_all_equal(without_carry_BTV, whole[0])


def test_each_segment_is_read_as_if_alone():
    model = ngram(order=4)
    parameters = model.fit(TRAINING)
    tokens_BT = jnp.asarray(HELD_OUT[:24].reshape(2, 12))
    segments_BT = jnp.asarray([[0] * 3 + [4] * 9, [9] * 7 + [8] * 5])
    together_BTV, _ = apply(model, parameters, tokens_BT, segment_ids_BT=segments_BT)
    for row, edge in ((0, 3), (1, 7)):
        for part in (slice(0, edge), slice(edge, 12)):
            alone_BTV, _ = apply(model, parameters, tokens_BT[row : row + 1, part])
            np.testing.assert_array_equal(together_BTV[row, part], alone_BTV[0])
    continued_BTV, _ = apply(model, parameters, tokens_BT)
    assert not np.array_equal(together_BTV, continued_BTV)


def test_jit_and_data_parallel_execution_agree():
    model = ngram(order=4)
    parameters = model.fit(TRAINING)
    tokens_BT = jnp.asarray(HELD_OUT[:24].reshape(2, 12))
    expected, _ = model.apply(parameters, tokens_BT)
    mesh = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    replicated = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    actual, _ = apply(
        model, jax.device_put(parameters, replicated), jax.device_put(tokens_BT, sharding)
    )
    np.testing.assert_allclose(actual, expected, rtol=1e-6)


def test_a_context_does_not_reach_beyond_the_boundary():
    model = ngram(order=4, boundary=True)
    parameters = model.fit(TRAINING)
    after_end = [[1, 2, END, 5], [4, 0, END, 5]]
    logits_BTV, _ = apply(model, parameters, jnp.asarray(after_end))
    np.testing.assert_array_equal(logits_BTV[0, 2:], logits_BTV[1, 2:])


def test_the_registry_derives_the_boundary_from_the_tokenizer():
    tokenizer = SimpleNamespace(vocabulary_size=VOCABULARY, end_id=END)
    assert build_model(model_config("ngram"), tokenizer).end_id == END
    tokenizer.end_id = None
    assert build_model(model_config("ngram"), tokenizer).end_id == -1


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("smoothing", "kneser_nay", "did you mean 'kneser_ney'"),
        ("order", 0, "at least 1"),
        ("sentence_boundary", True, "data.document_end"),
    ],
)
def test_refused_fields(field, value, message):
    config = model_config("ngram")
    config[field] = value
    with pytest.raises(UserError, match=message):
        build_model(config, SimpleNamespace(vocabulary_size=VOCABULARY, end_id=None))
