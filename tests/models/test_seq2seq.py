"""What holds for every model is in tests/properties; agreement with torch in tests/parity."""

from types import SimpleNamespace

import jax
import numpy as np
import pytest
from flax.linen import meta

from lmjax.config import model_config
from lmjax.errors import UserError
from lmjax.models.contract import LanguageModel, initial_carry
from lmjax.models.registry import build_model

VOCABULARY, SOURCE_VOCABULARY = 9, 8
ATTENTIVE = dict(attention="additive", layers=2, bidirectional=True, bridge="dense")
FED = dict(attention="general", layers=2, input_feeding=True)


def build(**changes):
    config = model_config("seq2seq")
    config.update({"width": 6, **changes})
    source = SimpleNamespace(vocabulary_size=SOURCE_VOCABULARY)
    return build_model(config, SimpleNamespace(vocabulary_size=VOCABULARY, source=source))


def initialize(model):
    return meta.unbox(jax.jit(model.init)(jax.random.key(0), np.zeros((1, 2), np.int32)))


def draw():
    generator = np.random.default_rng(0)
    tokens_BT = generator.integers(0, VOCABULARY, (2, 5))
    return tokens_BT, {"source_BS": generator.integers(0, SOURCE_VOCABULARY, (2, 4))}


@pytest.mark.parametrize("changes", [ATTENTIVE, FED | {"tied": True}])
def test_log_probs_and_their_gradients_are_those_of_the_logits(changes):
    model = build(**changes)
    params = initialize(model)
    tokens_BT, source = draw()

    def total(params, method):
        found, _ = model.apply(params, tokens_BT[:, :-1], tokens_BT[:, 1:], method=method, **source)
        return found.sum()

    both = [
        jax.jit(jax.value_and_grad(total), static_argnums=1)(params, method)
        for method in (type(model).log_probs, LanguageModel.log_probs)
    ]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), *both)


@pytest.mark.parametrize("changes", [dict(layers=2), ATTENTIVE, FED])
def test_dropout_is_between_the_layers_of_the_decoder(changes):
    """Embeddings are zeros and the source is empty, so that it shows nowhere else."""
    model = build(dropout=0.5, **changes)
    params = initialize(model)
    table = params["params"]["embedding"]
    table["embedding"] = np.zeros_like(table["embedding"])
    tokens_BT, _ = draw()

    @jax.jit
    def read(seed):
        rngs = {"dropout": jax.random.key(seed)}
        return model.apply(params, tokens_BT, deterministic=False, rngs=rngs)[0]

    kept_BTV = model.apply(params, tokens_BT)[0]
    assert np.abs(read(0) - read(1)).max() > 1e-5
    assert np.abs(read(0) - kept_BTV).max() > 1e-5


def test_the_encoder_drops_in_training_and_not_in_a_carry():
    model = build(dropout=0.5)
    params = initialize(model)
    tokens_BT, source = draw()
    table = params["params"]["embedding"]
    table["embedding"] = np.zeros_like(table["embedding"])
    carry = initial_carry(model, params, *tokens_BT.shape, **source)

    def read(seed, carry):
        rngs = {"dropout": jax.random.key(seed)}
        source_now = source if carry is None else {}
        return model.apply(params, tokens_BT, carry, deterministic=False, rngs=rngs, **source_now)[
            0
        ]

    assert np.abs(read(0, None) - read(1, None)).max() > 1e-5
    np.testing.assert_array_equal(read(0, carry), read(1, carry))


def test_a_reversed_source_is_the_source_from_its_end_on():
    forward, backward = build(), build(reverse_source=True)
    params = initialize(forward)
    tokens_BT, source = draw()
    encoder = params["params"]["encoder"]
    renamed = {"backward_layers_0": encoder["forward_layers_0"]}
    reversed_params = {"params": params["params"] | {"encoder": renamed}}
    expected, _ = forward.apply(params, tokens_BT, source_BS=source["source_BS"][:, ::-1])
    found, _ = backward.apply(reversed_params, tokens_BT, **source)
    np.testing.assert_array_equal(found, expected)


def test_all_parameters_are_uniform_in_the_given_interval():
    model = build(initialization=0.05, readout_width=4, **ATTENTIVE)
    for leaf in jax.tree.leaves(initialize(model)):
        assert np.abs(leaf).max() <= 0.05
        assert leaf.ndim == 1 or leaf.min() < 0 < leaf.max()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cell": "lstn"}, "did you mean 'lstm'"),
        ({"layers": 0}, "at least 1"),
        ({"dropout": 1.0}, "below 1"),
        ({"cell": "gru", "forget_bias": 1.0}, "no forget gate"),
        ({"attention": "aditive"}, "unknown model.attention 'aditive': did you mean 'additive'"),
        ({"bridge": "dens"}, "unknown model.bridge 'dens': did you mean 'dense'"),
        ({"context": "always"}, "unknown model.context 'always'"),
        ({"bidirectional": True}, "set model.bridge=dense"),
        ({"bidirectional": True, "bridge": "dense", "reverse_source": True}, "in reverse already"),
        ({"bidirectional": True, "bridge": "dense", "attention": "dot"}, "model.attention=general"),
        ({"attention": "dot", "context": "every_step"}, "a context of its own"),
        ({"input_feeding": True}, "not of 'none'"),
        ({"attention": "additive", "input_feeding": True}, "not of 'additive'"),
        ({"attention": "general", "readout_width": 4}, "set model.readout_width=0"),
        ({"readout_width": -1}, "model.readout_width is -1"),
        ({"attention": "additive", "tied": True}, "set model.readout_width=6"),
        ({"readout_width": 4, "tied": True}, "set model.embedding_width=4"),
    ],
)
def test_bad_values_are_named(changes, message):
    with pytest.raises(UserError, match=message):
        build(**changes)
