"""What is the encoder-decoder Transformer's own: its choices, limits, tables, draws, alignments.

What holds for every model is in tests/properties; agreement with others in tests/parity.
"""

from functools import partial
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.linen import meta

from lmjax.config import model_config
from lmjax.errors import UserError
from lmjax.model_defaults import ENCODER_DECODERS
from lmjax.models.contract import initial_carry
from lmjax.models.registry import build_model
from tests.properties.variants import VOCABULARY, build

SIZES = dict(layers=1, width=8, heads=2, context_length=6)
tokens_BT = np.random.default_rng(0).integers(0, VOCABULARY, (2, 4)).astype(np.int32)
source = {
    "source_BS": np.random.default_rng(1).integers(0, VOCABULARY, (2, 5)).astype(np.int32),
    "source_weights_BS": np.float32([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]),
}


def make(**changes):
    return build("encoder_decoder", SIZES | changes)


def initialise(model):
    return meta.unbox(jax.jit(model.init)(jax.random.key(0), tokens_BT))


@partial(jax.jit, static_argnums=0)
def apply(model, params, tokens_BT, carry=None, **context):
    return model.apply(params, tokens_BT, carry, **context)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(norm="rmsnorm"), "unknown model.norm 'rmsnorm': did you mean 'rms_norm'?"),
        (dict(position="relativ"), "unknown model.position 'relativ': did you mean 'relative'?"),
        (dict(norm_order="before"), "unknown model.norm_order 'before'"),
        (dict(width=9), "model.width 9 is not a multiple of model.heads 2"),
        (dict(dropout=1.0), "model.dropout is 1.0"),
        (dict(position="relative", position_buckets=3), "model.position_buckets 3"),
        (dict(position="relative", position_farthest=16), "model.position_farthest 16"),
        (dict(layers=0), "model.layers is 0"),
        (dict(decoder_layers=-1), "model.decoder_layers -1"),
        (dict(head_width=-1), "model.head_width is -1"),
        (dict(tied=False, scaled_logits=True), "or model.tied=True"),
    ],
)
def test_a_wrong_choice_names_what_was_probably_meant(changes, message):
    with pytest.raises(UserError, match=message.replace("?", r"\?")):
        make(**changes)


def test_one_table_for_two_vocabularies_is_refused_also_where_they_are_of_one_size():
    config = model_config("encoder_decoder")
    config.update(SIZES)
    other = SimpleNamespace(vocabulary_size=VOCABULARY)
    with pytest.raises(UserError, match="data.source_tokenizer gives them a vocabulary each"):
        build_model(config, SimpleNamespace(vocabulary_size=VOCABULARY, source=other))


def test_sources_and_targets_longer_than_the_context_are_refused():
    model = make()
    params = initialise(model)
    long_BT = np.zeros((1, 7), np.int32)
    for arguments in ((long_BT,), (tokens_BT[:1], None, long_BT)):
        with pytest.raises(UserError, match="more than model.context_length 6"):
            model.apply(params, *arguments[:1], source_BS=arguments[-1])
    with pytest.raises(UserError, match="more than model.context_length 6"):
        initial_carry(model, params, 1, 7)


def test_the_encoder_runs_once():
    """With a carry, neither another source nor another encoder changes a logit."""
    model = make()
    params = initialise(model)
    expected_BTV, _ = apply(model, params, tokens_BT, **source)
    carry = initial_carry(model, params, 2, 4, **source)
    other = jax.tree.map(jnp.zeros_like, params["params"]["encoder"])
    changed = {"params": params["params"] | {"encoder": other}}
    logits_BTV, _ = apply(model, changed, tokens_BT, carry, source_BS=source["source_BS"][::-1])
    np.testing.assert_allclose(logits_BTV, expected_BTV, rtol=1e-5, atol=1e-5)
    assert np.abs(apply(model, changed, tokens_BT, **source)[0] - expected_BTV).max() > 0.01


def test_which_tables_are_one():
    def tables(**changes):
        params = initialise(make(**changes))["params"]
        return {name for name in params if "embedding" in name or name == "head"}

    both = {"embedding", "source_embedding"}
    assert tables() == {"embedding"}
    assert tables(shared_embedding=False) == both
    assert tables(shared_embedding=False, tied=False) == both | {"head"}
    assert tables(position="learned") == {
        "embedding",
        "position_embedding",
        "source_position_embedding",
    }


@pytest.mark.parametrize("preset", ENCODER_DECODERS)
def test_initial_embeddings_and_logits_are_about_as_large_as_one(preset):
    """Whatever is scaled or tied; the scores of attention, too: see tests/mixers."""
    model = make(**ENCODER_DECODERS[preset], width=64, layers=2)
    params = initialise(model)
    table_VD = params["params"]["embedding"]["embedding"]
    read = np.std(table_VD) * (64**0.5 if model.scaled_embedding else 1)
    np.testing.assert_allclose(read, 1, rtol=0.1)
    logits_BTV, _ = apply(model, params, tokens_BT, **source)
    assert 0.3 < np.std(logits_BTV) < 2


def test_initial_weights_have_the_deviation_asked_for():
    params = initialise(make(width=64, bias=True, initialization=0.3, position="relative"))
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        name = jax.tree_util.keystr(path)
        if "norm" in name or "['bias']" in name:
            np.testing.assert_array_equal(leaf, 1.0 if "scale" in name else 0.0)
        else:
            np.testing.assert_allclose(np.std(leaf), 0.3, rtol=0.25, err_msg=name)


def test_dropout_changes_with_its_key_alone_also_in_the_encoder_and_is_off_in_evaluation():
    model = make(dropout=0.5)
    params = initialise(model)

    @jax.jit
    def drop(seed, source_BS):
        context = dict(deterministic=False, rngs={"dropout": jax.random.key(seed)})
        return model.apply(params, tokens_BT, source_BS=source_BS, **context)[0]

    first_BTV = drop(0, source["source_BS"])
    np.testing.assert_array_equal(first_BTV, drop(0, source["source_BS"]))
    assert np.abs(first_BTV - drop(1, source["source_BS"])).max() > 1e-3
    plain_BTV, _ = apply(make(dropout=0.0), params, tokens_BT, **source)
    np.testing.assert_array_equal(apply(model, params, tokens_BT, **source)[0], plain_BTV)


def test_alignments_are_shares_of_the_sources_tokens():
    model = make(layers=2)
    params = initialise(model)

    @jax.jit
    def align(source):
        return model.apply(params, tokens_BT, method="alignments", **source)

    weights_BTS = align(source)
    assert weights_BTS.shape == (2, 4, 5)
    np.testing.assert_allclose(weights_BTS.sum(axis=-1), 1, rtol=1e-5)
    np.testing.assert_array_equal(weights_BTS[0, :, 3:], 0)
    assert np.abs(weights_BTS[1, 0] - weights_BTS[1, 1]).max() > 1e-4


def test_activations_may_be_narrow_and_carries_and_logits_stay_wide():
    model = make(dtype="bfloat16", position="relative")
    params = initialise(model)
    carry = initial_carry(model, params, 2, 4, **source)
    logits_BTV, after = apply(model, params, tokens_BT, carry)
    kinds = [jax.tree.map(lambda leaf: leaf.dtype, tree) for tree in (carry, after)]
    assert kinds[0] == kinds[1] and jnp.bfloat16 not in jax.tree.leaves(kinds[0])
    assert logits_BTV.dtype == jnp.float32
    exact_BTV, _ = apply(make(position="relative"), params, tokens_BT, **source)
    error = np.abs(logits_BTV - exact_BTV).max()
    assert 0 < error < 0.05 * np.abs(exact_BTV).max()
