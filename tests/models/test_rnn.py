from functools import partial
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from flax.linen import meta

from lmjax.config import model_config
from lmjax.errors import UserError
from lmjax.models.contract import LanguageModel, initial_carry
from lmjax.models.registry import build_model

VOCABULARY = 9


def build(family="rnn", vocabulary_size=VOCABULARY, **changes):
    config = model_config(family)
    config.update(changes)
    return build_model(config, SimpleNamespace(vocabulary_size=vocabulary_size, end_id=None))


def initialize(model):
    return meta.unbox(jax.jit(model.init)(jax.random.key(0), np.zeros((1, 2), np.int32)))


def count(model):
    shapes = jax.eval_shape(lambda: initialize(model))
    return sum(leaf.size for leaf in jax.tree.leaves(shapes))


def test_zaremba_small_and_medium_have_the_papers_sizes():
    """4.65 and 19.8 million: two tables of words, one bias a word, two layers of four gates."""
    sizes = dict(vocabulary_size=10_000, layers=2)
    assert count(build(**sizes, width=200)) == 4_651_600
    assert count(build(**sizes, width=650)) == 19_775_200


def test_all_parameters_are_uniform_in_the_given_interval():
    for changes, limit in (({"initialization": 0.05}, 0.05), ({}, 8**-0.5)):
        for leaf in jax.tree.leaves(initialize(build(width=8, **changes))):
            assert 0 < np.abs(leaf).max() <= limit
            assert leaf.min() < 0 < leaf.max()


def test_tied_weights_are_one_table():
    model = build(width=8, tied=True)
    assert count(build(width=8)) - count(model) == 8 * VOCABULARY
    params = initialize(model)
    tokens_BT = np.array([[1, 2]])
    before_BTV, _ = model.apply(params, tokens_BT)
    params["params"]["embedding"]["embedding"] = (
        params["params"]["embedding"]["embedding"].at[5].add(1.0)
    )
    after_BTV, _ = model.apply(params, tokens_BT)
    changed_V = np.abs(after_BTV - before_BTV)[0, 1] > 1e-6
    assert changed_V.tolist() == [token == 5 for token in range(VOCABULARY)]

    def log_prob(params):
        return model.apply(params, tokens_BT, tokens_BT, method="log_probs")[0].sum()

    gradient_VD = jax.grad(log_prob)(params)["params"]["embedding"]["embedding"]
    assert (np.abs(gradient_VD).max(axis=1) > 0).all(), "words that are not read learn as well"


@pytest.mark.parametrize("family, tied", [("rnn", True), ("rnn", False), ("attention_rnn", False)])
def test_log_probs_and_their_gradients_are_those_of_the_logits(family, tied):
    model = build(family, width=6, tied=tied)
    params = initialize(model)
    tokens_BT = np.random.default_rng(0).integers(0, VOCABULARY, (2, 6))
    carry = initial_carry(model, params, 2, 5)

    @partial(jax.jit, static_argnums=1)
    @partial(jax.value_and_grad, has_aux=True)
    def total(params, method):
        log_probs_BT, after = model.apply(
            params, tokens_BT[:, :-1], tokens_BT[:, 1:], carry, method=method
        )
        return log_probs_BT.sum(), (log_probs_BT, after)

    ours = total(params, type(model).log_probs)
    through_logits = total(params, LanguageModel.log_probs)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), ours, through_logits
    )


def test_dropout_spares_the_recurrent_connections():
    model = build(width=6, layers=1, dropout=0.5)
    params = initialize(model)
    layer = params["params"]["mixers_0"]
    layer["input_kernel"] = np.zeros_like(layer["input_kernel"])
    tokens_BT = np.array([[1, 2, 3, 4]])

    def read(seed):
        return model.apply(
            params,
            tokens_BT,
            initial_carry(model, params, 1, 4),
            deterministic=False,
            rngs={"dropout": jax.random.key(seed)},
        )

    (first_BTV, first), (second_BTV, second) = read(0), read(1)
    assert np.abs(first_BTV - second_BTV).max() > 1e-3
    jax.tree.map(np.testing.assert_array_equal, first, second)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"cell": "lstn"}, "did you mean 'lstm'"),
        ({"layers": 0}, "at least 1"),
        ({"dropout": 1.0}, "below 1"),
        ({"cell": "gru", "forget_bias": 1.0}, "no forget gate"),
        ({"tied": True, "embedding_width": 4}, "model.embedding_width=256"),
        ({"family": "attention_rnn", "score": "genral"}, "did you mean 'general'"),
        ({"family": "attention_rnn", "span": 0}, "model.span is at least 1"),
        ({"family": "attention_rnn", "score": "key_value_predict"}, "model.width=255"),
        (
            {"family": "attention_rnn", "score": "key_value_predict", "width": 6, "tied": True},
            "model.embedding_width=2",
        ),
    ],
)
def test_bad_values_are_named(changes, message):
    with pytest.raises(UserError, match=message):
        build(**changes)
