"""AWD-LSTM and the variational LSTM: what masks are of, and that they are what is computed."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.linen import meta

from lmjax.config import model_config
from lmjax.errors import UserError
from lmjax.mixers.variational_recurrence import VariationalRecurrentLayer
from lmjax.models import awd_rnn
from lmjax.models.registry import build_model
from lmjax.nn.dropout import Dropout
from lmjax.nn.extras import Collecting
from lmjax.nn.initializers import symmetric_uniform

VOCABULARY, ROWS, LENGTH = 9, 3, 8
NONE = dict.fromkeys(awd_rnn.RATES, 0.0)
TOKENS_BT = np.random.default_rng(0).integers(0, VOCABULARY, (ROWS, LENGTH))
RNGS = {"dropout": jax.random.key(5)}


def build(vocabulary_size=VOCABULARY, **changes):
    config = model_config("awd_rnn")
    config.update({"width": 6, "embedding_width": 4, **changes})
    return build_model(config, SimpleNamespace(vocabulary_size=vocabulary_size))


def initialize(model):
    return meta.unbox(jax.jit(model.init)(jax.random.key(0), np.zeros((1, 2), np.int32)))


def captured(model, params, kinds, key=5):
    """What the modules of these classes return in training, by their names."""
    _, found = model.apply(
        params,
        TOKENS_BT,
        deterministic=False,
        rngs={"dropout": jax.random.key(key)},
        capture_intermediates=lambda module, _: isinstance(module, kinds),
        mutable=["intermediates"],
    )
    return {name: kept["__call__"][-1] for name, kept in found["intermediates"].items()}


def test_it_has_the_size_of_the_paper():
    """24 million on the Penn Treebank; the authors' 24,221,600 less a second bias of each gate."""
    model = build(10_000, width=1150, embedding_width=400)
    shapes = jax.eval_shape(lambda: initialize(model))
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == 24_221_600 - 4 * 2_700


def test_awd_qrnn_has_layers_of_other_widths_whose_kernels_are_dropped():
    """Its first layer sees two tokens; 24 million weights on the Penn Treebank."""
    options = dict(cell="qrnn", cell_options={"window": 1}, first_options={"window": 2}, layers=4)
    model = build(10_000, width=1550, embedding_width=400, **options)
    shapes = jax.eval_shape(lambda: initialize(model))["params"]
    kernels = [shapes[f"mixers_{index}"]["input"]["kernel"].shape for index in range(4)]
    assert kernels == [(800, 4650), (1550, 4650), (1550, 4650), (1550, 1200)]
    model = build(**NONE | options | dict(weight_dropout=0.5))
    params = initialize(model)
    plain_BTV, _ = model.apply(params, TOKENS_BT)
    dropped_BTV, _ = model.apply(params, TOKENS_BT, deterministic=False, rngs=RNGS)
    assert (plain_BTV != dropped_BTV).any()
    carry = model.apply(params, ROWS, LENGTH, method="initial_carry")
    parts = []
    for part in (TOKENS_BT[:, :3], TOKENS_BT[:, 3:]):
        logits_BTV, carry = model.apply(params, part, carry)
        parts.append(logits_BTV)
    np.testing.assert_allclose(np.concatenate(parts, axis=1), plain_BTV, rtol=1e-5, atol=1e-6)


def test_locked_masks_stay_the_same_along_time_and_zarembas_do_not():
    params = initialize(build())
    x_BTD = np.asarray(params["params"]["embedding"]["embedding"])[TOKENS_BT]
    for locked in (True, False):
        model = build(**NONE | dict(locked=locked, input_dropout=0.5))
        found_BTD = captured(model, params, Dropout)["drop_input"]
        ratio_BTD = found_BTD / x_BTD
        np.testing.assert_allclose(ratio_BTD, np.where(found_BTD == 0, 0.0, 2.0), rtol=1e-5)
        is_fixed_BD = (np.asarray(found_BTD != 0) == np.asarray(found_BTD != 0)[:, :1]).all(axis=1)
        assert is_fixed_BD.all() == locked
        assert len({row.tobytes() for row in np.asarray(found_BTD[:, 0] != 0)}) > 1, "by row"


@pytest.mark.parametrize("masks", ["batch", "row"])
def test_all_occurrences_of_a_word_are_dropped(masks):
    model = build(**NONE | dict(embedding_dropout=0.5, embedding_masks=masks))
    params = initialize(model)
    x_BTD = np.asarray(params["params"]["embedding"]["embedding"])[TOKENS_BT]
    found_BTD = captured(model, params, Dropout)["drop_input"]
    scale_BT = np.round(np.asarray(found_BTD / x_BTD).mean(axis=-1))
    np.testing.assert_allclose(found_BTD, x_BTD * scale_BT[..., None], rtol=1e-5)
    assert set(scale_BT.ravel().tolist()) == {0.0, 2.0}
    scale_by_word = [
        dict(zip(*pair, strict=True)) for pair in zip(TOKENS_BT, scale_BT, strict=True)
    ]
    for words_T, scale_T, scales in zip(TOKENS_BT, scale_BT, scale_by_word, strict=True):
        assert [scales[word] for word in words_T] == scale_T.tolist()
    pairs = [
        (a[w], b[w]) for a in scale_by_word for b in scale_by_word for w in a.keys() & b.keys()
    ]
    assert all(one == other for one, other in pairs) == (masks == "batch")


def test_weights_are_dropped_once_for_all_tokens_and_keep_their_mean(monkeypatch):
    dropped, drop = [], awd_rnn._drop_weights
    monkeypatch.setattr(
        awd_rnn, "_drop_weights", lambda *args: dropped.append(drop(*args)) or dropped[-1]
    )
    model = build(**NONE | dict(weight_dropout=0.4))
    params = initialize(model)
    logits_BTV, _ = model.apply(params, TOKENS_BT, deterministic=False, rngs=RNGS)
    assert len(dropped) == model.layers
    other = dict(params["params"])
    for index, variables in enumerate(dropped):
        own = params["params"][f"mixers_{index}"]
        changed = {name for name in own if (variables["params"][name] != own[name]).any()}
        assert changed == {"recurrent_kernel"}
        other[f"mixers_{index}"] = variables["params"]
    by_them_BTV, _ = model.apply({"params": other}, TOKENS_BT)
    np.testing.assert_allclose(logits_BTV, by_them_BTV, rtol=1e-5, atol=1e-6)
    keys = jax.random.split(jax.random.key(0), 4000)
    draws = jax.vmap(lambda key: drop(0.4, key, params)["params"]["mixers_0"])(keys)
    kernel_DG = params["params"]["mixers_0"]["recurrent_kernel"]
    ratio = np.asarray(draws["recurrent_kernel"]) / np.asarray(kernel_DG)
    np.testing.assert_allclose(np.unique(np.round(ratio, 3)), [0.0, 1.667])
    np.testing.assert_allclose(ratio.mean(axis=0), 1.0, atol=0.06)


def test_the_penalties_are_those_of_the_formulas():
    """The mean square of the dropped output, and of the differences of the one not dropped."""
    model = build(**NONE | dict(dropout=0.5, activation_penalty=3.0, temporal_penalty=5.0))
    params = initialize(model)
    found = captured(model, params, (Dropout, type(model.bind(params).mixers[-1])))
    dropped_BTD = found["drop"]
    y_BTD, _ = found["mixers_2"]
    collecting = Collecting(model)
    collecting.apply(params, TOKENS_BT, deterministic=False, rngs=RNGS)
    change_BTD = np.diff(np.asarray(y_BTD, np.float64), axis=1)
    expected = {
        "activation": 3.0 * np.mean(np.square(np.asarray(dropped_BTD, np.float64))),
        "temporal_activation": 5.0 * np.mean(np.square(change_BTD)),
    }
    assert expected["activation"] > 1e-4 and expected["temporal_activation"] > 1e-6
    assert {name: float(loss) for name, loss in collecting.losses.items()} == pytest.approx(
        expected, rel=1e-5
    )
    collecting = Collecting(model)
    collecting.apply(params, TOKENS_BT)
    assert collecting.losses == {}, "they are of training alone"


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("masks", ["tied", "per_gate"])
def test_a_variational_layer_is_the_loop_with_fixed_masks_of_inputs_and_outputs(masks):
    """Gal and Ghahramani (2016), equations 5 and 6, in numpy, by the masks that were drawn."""
    layer = VariationalRecurrentLayer(
        width=5,
        initializer=symmetric_uniform(0.5),
        input_dropout=0.4,
        recurrent_dropout=0.3,
        masks=masks,
    )
    x_BTD = jax.random.normal(jax.random.key(1), (ROWS, LENGTH, 4))
    positions_1T, carry = jnp.arange(LENGTH)[None], layer.initial_carry(ROWS, 0)
    context = positions_1T, None
    params = meta.unbox(layer.init(jax.random.key(0), x_BTD, carry, *context, True))
    (y_BTD, state), found = layer.apply(
        params,
        x_BTD,
        carry,
        *context,
        False,
        rngs=RNGS,
        capture_intermediates=lambda module, _: isinstance(module, Dropout),
        mutable=["intermediates"],
    )
    found = {
        name: np.float64(kept["__call__"][-1]) for name, kept in found["intermediates"].items()
    }
    of_x_CBE, of_h_CBD = found["drop_inputs"], found["drop_outputs"]
    assert len(of_x_CBE) == len(of_h_CBD) == (4 if masks == "per_gate" else 1)
    assert set(np.unique(np.round(of_h_CBD, 3))) == {0.0, 1.429}
    assert (of_h_CBD[0, 0] != of_h_CBD[0, 1]).any(), "of each row"
    weights = {name: np.float64(leaf) for name, leaf in params["params"].items()}
    h_BD = c_BD = np.zeros((ROWS, 5))
    for time in range(LENGTH):
        sums = []
        for gate in range(4):
            part = slice(gate * 5, (gate + 1) * 5)
            x_BE = np.float64(x_BTD)[:, time] * of_x_CBE[gate % len(of_x_CBE)]
            masked_BD = h_BD * of_h_CBD[gate % len(of_h_CBD)]
            sums.append(
                x_BE @ weights["input_kernel"][:, part]
                + masked_BD @ weights["recurrent_kernel"][:, part]
                + weights["bias"][part]
            )
        i_BD, f_BD, g_BD, o_BD = sums
        c_BD = sigmoid(f_BD) * c_BD + sigmoid(i_BD) * np.tanh(g_BD)
        h_BD = sigmoid(o_BD) * np.tanh(c_BD)
        np.testing.assert_allclose(y_BTD[:, time], h_BD, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(state[1], c_BD, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("cell", ["elman", "gru"])
def test_a_variational_layer_whose_masks_drop_nothing_is_the_plain_layer(cell):
    given = dict(width=5, cell=cell, initializer=symmetric_uniform(0.5))
    layer = VariationalRecurrentLayer(**given, recurrent_dropout=1e-9, masks="per_gate")
    x_BTD = jax.random.normal(jax.random.key(1), (ROWS, LENGTH, 4))
    positions_BT = jnp.broadcast_to(jnp.arange(LENGTH) % 5, (ROWS, LENGTH))
    context = layer.initial_carry(ROWS, 0), positions_BT, jnp.cumsum(positions_BT == 0, axis=1)
    params = layer.init(jax.random.key(0), x_BTD, *context, True)
    y_BTD, (state_BD, *_) = layer.apply(params, x_BTD, *context, True)
    found_BTD, (found_BD, *_) = layer.apply(params, x_BTD, *context, False, rngs=RNGS)
    np.testing.assert_allclose(found_BTD, y_BTD, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found_BD, state_BD, rtol=1e-5, atol=1e-6)


def test_without_dropout_all_is_the_plain_model():
    """Whatever the rates, where nothing is drawn; and in training where all rates are 0."""
    params = initialize(build())
    expected_BTV, _ = build(**NONE).apply(params, TOKENS_BT)
    for changes in (dict(), dict(recurrent_dropout=0.3, masks="per_gate")):
        logits_BTV, _ = build(**changes).apply(params, TOKENS_BT)
        np.testing.assert_allclose(logits_BTV, expected_BTV, rtol=1e-6)
    logits_BTV, _ = build(**NONE).apply(params, TOKENS_BT, deterministic=False, rngs=RNGS)
    np.testing.assert_allclose(logits_BTV, expected_BTV, rtol=1e-6)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (dict(weight_dropout=1.0), "model.weight_dropout is 1.0; it is at least 0 and below 1"),
        (dict(masks="by_gate"), "unknown model.masks 'by_gate': did you mean 'per_gate'"),
        (dict(embedding_masks="rows"), "did you mean 'row'"),
        (dict(recurrent_dropout=0.2, locked=False), "need model.locked=True"),
        (dict(recurrent_dropout=0.2, cell="mogrifier_lstm"), "not 'mogrifier_lstm'"),
        (dict(first_options={"window": 2}), "mixer 'recurrent' has no option 'window'"),
        (dict(cell_options={"cell": "gru"}), "options of a cell name another one"),
        (dict(cell="lsmt"), "unknown model.cell 'lsmt'"),
    ],
)
def test_what_cannot_be_is_refused(changes, told):
    with pytest.raises(UserError, match=told):
        build(**changes)
