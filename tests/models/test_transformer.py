"""What is the Transformer's own: its choices, its limits, its initial weights, its dropout.

What holds for every model is in tests/properties; agreement with GPT-2 in tests/parity.
"""

from functools import partial
from types import SimpleNamespace

import flax.linen as nn
import jax
import numpy as np
import pytest
from flax.linen import meta

from lmjax.config import model_config
from lmjax.errors import UserError
from lmjax.models.registry import build_model
from lmjax.nn.norms import Norm

VOCABULARY, CONTEXT = 11, 8
tokens_BT = np.random.default_rng(0).integers(0, VOCABULARY, (2, CONTEXT)).astype(np.int32)


def build(**changes):
    config = model_config("transformer")
    config.update(dict(layers=1, width=8, heads=2, context_length=CONTEXT) | changes)
    return build_model(config, SimpleNamespace(vocabulary_size=VOCABULARY))


def initialise(model):
    return meta.unbox(jax.jit(model.init)(jax.random.key(0), tokens_BT))


@partial(jax.jit, static_argnums=0)
def apply(model, params, tokens_BT, carry=None, **context):
    return model.apply(params, tokens_BT, carry, **context)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(norm="layernorm"), "unknown model.norm 'layernorm': did you mean 'layer_norm'?"),
        (dict(feed_forward="gelu_exakt"), "did you mean 'gelu_exact'?"),
        (dict(position="learnt"), "did you mean 'learned'?"),
        (dict(pattern=("atention",)), "did you mean 'attention'?"),
        (dict(position="alibi", pattern=("mamba",)), "no mixer of model.pattern takes it"),
        (dict(width=9), "model.width 9 is not a multiple of model.heads 2"),
        (dict(layers=1, pattern=("mamba", "attention")), "names 2 mixers for 1 layers"),
    ],
)
def test_a_wrong_choice_names_what_was_probably_meant(changes, message):
    with pytest.raises(UserError, match=message.replace("?", r"\?")):
        build(**changes)


def test_rows_longer_than_the_context_are_refused():
    model = build()
    params = initialise(model)
    long_BT = np.zeros((1, CONTEXT + 1), np.int32)
    with pytest.raises(UserError, match="model.context_length 8"):
        apply(model, params, long_BT)
    with pytest.raises(UserError, match="model.context_length 8"):
        model.initial_carry(1, CONTEXT + 1)


def test_a_position_beyond_the_context_is_nan_and_spoils_no_other_segment():
    model = build()
    params = initialise(model)
    long_BT = np.concatenate([tokens_BT, tokens_BT], axis=1)[:1]
    segment_ids_BT = np.array([[0] * 2 + [1] * (CONTEXT + 2) + [2] * 4])
    logits_BTV, _ = apply(model, params, long_BT, segment_ids_BT=segment_ids_BT)
    broken_BT = np.isnan(logits_BTV).any(axis=-1)
    np.testing.assert_array_equal(np.flatnonzero(broken_BT[0]), [2 + CONTEXT, 3 + CONTEXT])
    alone_BTV, _ = apply(model, params, long_BT[:, -4:])
    np.testing.assert_allclose(logits_BTV[:, -4:], alone_BTV, atol=1e-6)


def test_the_carry_is_nan_once_it_is_full_and_by_given_positions():
    model = build()
    params = initialise(model)
    _, carry = apply(model, params, tokens_BT[:, :3], model.initial_carry(2, 4))
    logits_BTV, carry = apply(model, params, tokens_BT[:, 3:5], carry)
    np.testing.assert_array_equal(np.isnan(logits_BTV).all(axis=-1), [[False, True]] * 2)
    positions_BT = np.array([[CONTEXT - 1, CONTEXT]] * 2)
    logits_BTV, carry = model.apply(
        params, tokens_BT[:, :2], model.initial_carry(2, 4), positions_BT=positions_BT
    )
    np.testing.assert_array_equal(np.isnan(logits_BTV).all(axis=-1), [[False, True]] * 2)
    np.testing.assert_array_equal(carry.position_B, [CONTEXT + 1] * 2)


def test_given_positions_are_read_and_derived_ones_follow_them():
    model = build()
    params = jax.tree.map(lambda leaf: 20 * leaf, initialise(model))
    positions_BT = np.arange(CONTEXT)[None] + np.zeros((2, 1), np.int32)
    derived_BTV, _ = apply(model, params, tokens_BT)
    given_BTV, _ = apply(model, params, tokens_BT, positions_BT=positions_BT)
    np.testing.assert_allclose(given_BTV, derived_BTV, rtol=1e-5, atol=1e-5)
    other_BTV, _ = apply(model, params, tokens_BT[:, :4], positions_BT=positions_BT[:, 4:])
    assert np.abs(other_BTV - derived_BTV[:, :4]).max() > 0.1

    carry = model.initial_carry(2, CONTEXT)
    first_BTV, carry = model.apply(
        params, tokens_BT[:, :2], carry, positions_BT=positions_BT[:, 4:6]
    )
    second_BTV, _ = apply(model, params, tokens_BT[:, 2:4], carry)
    found_BTV = np.concatenate([first_BTV, second_BTV], axis=1)
    np.testing.assert_allclose(found_BTV, other_BTV, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("fields", "deviation"), [({}, 0.02), ({"initialization": 0.3}, 0.3)])
def test_initial_weights_have_the_deviation_asked_for_and_by_default_gpt2s(fields, deviation):
    layers = 3
    model = build(width=64, layers=layers, tied=False, bias=True, **fields)
    for path, leaf in jax.tree_util.tree_leaves_with_path(initialise(model)):
        name = jax.tree_util.keystr(path)
        if "norm" in name or "bias" in name:
            np.testing.assert_array_equal(leaf, 1.0 if "scale" in name else 0.0)
        else:
            residual = "['output']" in name or "['down']" in name
            expected = deviation / (2 * layers) ** 0.5 if residual else deviation
            np.testing.assert_allclose(np.std(leaf), expected, rtol=0.15, err_msg=name)


def test_what_is_added_to_the_variance_is_what_was_asked_for_in_every_norm():
    model, found = build(norm_epsilon=0.5), {}

    def note(next_fun, args, kwargs, context):
        if isinstance(context.module, Norm):
            found[context.module.name] = context.module.epsilon
        return next_fun(*args, **kwargs)

    with nn.intercept_methods(note):
        jax.eval_shape(model.init, jax.random.key(0), tokens_BT)
    assert found == dict.fromkeys(("mixer_norm", "feed_forward_norm", "final_norm"), 0.5)


def test_logits_are_bounded_and_embeddings_scaled_where_it_is_asked_for():
    plain = build(norm_order="post", layers=1, position="none")
    params = jax.tree.map(lambda leaf: 20 * leaf, initialise(plain))
    assert "final_norm" not in params["params"]
    logits_BTV, _ = apply(plain, params, tokens_BT)
    capped = build(norm_order="post", layers=1, position="none", logits_cap=0.5)
    found_BTV, _ = apply(capped, params, tokens_BT)
    np.testing.assert_allclose(found_BTV, 0.5 * np.tanh(logits_BTV / 0.5), rtol=1e-5, atol=1e-6)

    scaled = build(scaled_embedding=True, position="none", tied=False)
    params = initialise(scaled)
    larger = {
        **params["params"],
        "embedding": {"embedding": 8**0.5 * params["params"]["embedding"]["embedding"]},
    }
    unscaled = build(position="none", tied=False)
    expected_BTV, _ = apply(unscaled, {"params": larger}, tokens_BT)
    np.testing.assert_allclose(
        apply(scaled, params, tokens_BT)[0], expected_BTV, rtol=1e-5, atol=1e-6
    )


def test_embeddings_are_normalised_where_it_is_asked_for():
    model = build(embedding_norm=True, position="none", tied=False, bias=True)
    params = jax.tree.map(lambda leaf: leaf + 0.3, initialise(model)["params"])
    norm, table_VD = params.pop("first_norm"), params["embedding"]["embedding"]
    centred_VD = table_VD - table_VD.mean(axis=1, keepdims=True)
    deviation_V1 = np.sqrt(table_VD.var(axis=1, keepdims=True) + model.norm_epsilon)
    normed_VD = centred_VD / deviation_V1 * norm["scale"][None] + norm["bias"][None]
    normed = {"params": params | {"embedding": {"embedding": normed_VD}}}
    expected_BTV, _ = apply(build(position="none", tied=False, bias=True), normed, tokens_BT)
    found_BTV, _ = apply(model, {"params": params | {"first_norm": norm}}, tokens_BT)
    np.testing.assert_allclose(found_BTV, expected_BTV, rtol=1e-4, atol=1e-5)


def test_tied_logits_share_the_embedding():
    count = {
        tied: sum(leaf.size for leaf in jax.tree.leaves(initialise(build(tied=tied))))
        for tied in (True, False)
    }
    assert count[False] - count[True] == 8 * VOCABULARY


def test_dropout_changes_with_its_key_alone_and_is_off_in_evaluation():
    model = build(dropout=0.5)
    params = initialise(model)

    @jax.jit
    def drop(seed):
        context = dict(deterministic=False, rngs={"dropout": jax.random.key(seed)})
        return model.apply(params, tokens_BT, **context)[0]

    np.testing.assert_array_equal(drop(0), drop(0))
    assert np.abs(drop(0) - drop(1)).max() > 1e-3
    plain_BTV, _ = apply(build(), params, tokens_BT)
    np.testing.assert_array_equal(apply(model, params, tokens_BT)[0], plain_BTV)
