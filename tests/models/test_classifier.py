"""What a head reads of its backbone: rows, texts of a pair, and the parameters that there are."""

from types import SimpleNamespace

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.checks.probes import distinct_parameters
from lmjax.config import model_config
from lmjax.data.batch import PADDING
from lmjax.data.number_tokenizer import NumberTokenizer
from lmjax.errors import UserError
from lmjax.models.on_backbone import read_rows
from lmjax.models.registry import build_model
from lmjax.objectives.regression import Regression

CLASS, SEPARATOR = 10, 11
COSINE = dict(siamese="cosine", pooling="mean", dropout=0.0)
SIZES = {
    "bert": dict(width=8, heads=2, layers=1, context_length=16),
    "rnn": dict(width=6, layers=1),
    "transformer": dict(width=8, heads=2, layers=1, context_length=16),
    "bilstm": dict(width=4, layers=1),
}


def make(
    backbone="bert", numbers=False, special=("class", "separator"), of_backbone=None, **fields
):
    config = model_config("classifier")
    config.backbone = model_config(backbone)
    config.backbone.update(SIZES.get(backbone, {}) | (of_backbone or {}))
    config.update(fields)
    ids = {"class": CLASS, "separator": SEPARATOR}
    special = {role: ids[role] for role in special}
    target = NumberTokenizer() if numbers else SimpleNamespace(vocabulary_size=5)
    source = SimpleNamespace(vocabulary_size=12, end_id=None, special_id=special.get)
    tokenizer = SimpleNamespace(
        vocabulary_size=target.vocabulary_size, target=target, source=source
    )
    return build_model(config, tokenizer)


def names_of(model):
    params = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 1), jnp.int32))
    return nn.meta.unbox(params)["params"]


def rows(*texts, length=8):
    source_BS = np.zeros((len(texts), length), np.int32)
    weights_BS = np.zeros((len(texts), length), np.float32)
    for row, text in enumerate(texts):
        source_BS[row, : len(text)] = text
        weights_BS[row, : len(text)] = 1
    return {"source_BS": source_BS, "source_weights_BS": weights_BS}


PAIR, TEXT = [1, 2, SEPARATOR, 3, SEPARATOR], [4, 5, SEPARATOR]


@pytest.mark.parametrize(
    ("class_id", "apart", "tokens", "parts"),
    [
        (CLASS, False, [CLASS, *PAIR], [0, 0, 0, 0, 1, 1]),
        (CLASS, True, [CLASS, *PAIR[:3], CLASS, *PAIR[3:]], [0, 0, 0, 0, 1, 1, 1]),
        (None, True, PAIR, [0, 0, 0, 1, 1]),
    ],
)
def test_rows_of_a_pair_and_of_one_text(class_id, apart, tokens, parts):
    source = rows(PAIR, TEXT)
    is_token_BS = source["source_weights_BS"] > 0
    tokens_BS, part_BS = read_rows(source["source_BS"], is_token_BS, class_id, SEPARATOR, apart)
    before = [] if class_id is None else [class_id]
    for row, (found, of_which) in enumerate([(tokens, parts), ([*before, *TEXT], None)]):
        of_which = of_which or [0] * len(found)
        assert np.asarray(tokens_BS)[row, : len(found)].tolist() == found
        assert np.asarray(part_BS)[row, : len(found)].tolist() == of_which
        assert (np.asarray(part_BS)[row, len(found) :] == PADDING).all()


@pytest.mark.parametrize(
    ("backbone", "pooling"),
    [
        ("bert", "mean"),
        ("bert", "first"),
        ("rnn", "mean"),
        ("transformer", "mean"),
        ("bilstm", "mean"),
    ],
)
def test_texts_that_are_read_apart_are_read_as_if_they_were_alone(backbone, pooling):
    model = make(backbone, siamese="concatenated", pooling=pooling)
    params = distinct_parameters(model)

    def pooled(**source):
        return model.apply(params, **source, method="pooled")

    first_BD, second_BD = pooled(**rows(PAIR, TEXT))
    alone_BD, nothing_BD = pooled(**rows(PAIR[:3], PAIR[3:], length=4))
    np.testing.assert_allclose([first_BD[0], second_BD[0]], alone_BD, rtol=2e-5, atol=1e-6)
    assert not nothing_BD.any() and not second_BD[1].any()


def test_the_texts_of_a_pair_that_is_read_as_one_are_told_apart():
    model = make("bert")
    params = distinct_parameters(model)
    logits_BV, swapped_BV = (
        model.apply(params, jnp.zeros((1, 1), jnp.int32), **rows(pair))[0]
        for pair in ([1, SEPARATOR, 2], [1, 2, SEPARATOR])
    )
    assert np.abs(logits_BV - swapped_BV).max() > 1e-3
    table = "token_type_embedding"
    of_types = params["params"]["backbone"]["encoder"][table]["embedding"]
    other = jax.tree_util.tree_map_with_path(
        lambda path, leaf: leaf[:1].repeat(2, 0) if table in str(path) else leaf, params
    )
    assert not np.array_equal(of_types[0], of_types[1])
    one_BV = model.apply(other, jnp.zeros((1, 1), jnp.int32), **rows([1, SEPARATOR, 2]))[0]
    assert np.abs(logits_BV - one_BV).max() > 1e-4


@pytest.mark.parametrize(
    ("backbone", "unused"),
    [
        ("bert", {"head_dense", "head_norm", "output_bias"}),
        ("rnn", {"output_kernel", "output_bias"}),
        ("transformer", {"head"}),
        ("bilstm", {"output_kernel", "output_bias"}),
    ],
)
def test_parameters_that_no_head_reads_are_not_made(backbone, unused):
    of_backbone = {"tied": False} if backbone == "transformer" else {}
    whole = model_config(backbone)
    whole.update(SIZES[backbone] | of_backbone)
    tokenizer = SimpleNamespace(vocabulary_size=12, end_id=None, special_id={}.get)
    own = set(names_of(build_model(whole, tokenizer)))
    pooling = {} if backbone != "rnn" else {"pooling": "last"}
    named = names_of(make(backbone, of_backbone=of_backbone, **pooling))
    assert set(named) == {"backbone", "label_head"}
    assert own - set(named["backbone"]) == unused and set(named["backbone"]) < own


def test_a_number_is_between_the_two_that_outputs_stand_for():
    source = rows(PAIR, [1, SEPARATOR, 1, SEPARATOR], TEXT)
    tokens_BT = jnp.zeros((3, 1), jnp.int32)
    model = make("rnn", numbers=True, **COSINE, lowest=-1.0, highest=5.0)
    params = distinct_parameters(model)
    assert set(params["params"]) == {"backbone"}
    numbers_BT1, _ = model.apply(params, tokens_BT, **source)
    u_BD, v_BD = model.apply(params, **source, method="pooled")
    sizes_B = np.linalg.norm(u_BD, axis=1) * np.linalg.norm(v_BD, axis=1)
    cosines_B = (np.asarray(u_BD) * v_BD).sum(1) / np.maximum(sizes_B, 1e-9)
    np.testing.assert_allclose(numbers_BT1[:, 0, 0], -1 + 6 * cosines_B, rtol=1e-4, atol=1e-5)
    assert cosines_B[1] == pytest.approx(1, abs=1e-5) and cosines_B[2] == 0
    gradient = jax.grad(lambda params: model.apply(params, tokens_BT, **source)[0].sum())(params)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (dict(pooling="men"), "unknown model.pooling 'men': did you mean 'mean'"),
        (dict(siamese="yes"), "unknown model.siamese 'yes'"),
        (dict(pooling="first", special=()), "'first' needs a class token"),
        (dict(backbone="rnn", pooling="first"), "reads the past alone; set model.pooling='last'"),
        (dict(backbone="bilstm", pooling="last"), "would leave the last token out"),
        (dict(backbone="bilstm", special=()), "set data.special_tokens=.'class',."),
        (dict(siamese="concatenated", special=("class",)), "needs a token between the two texts"),
        (dict(siamese="cosine"), "tells a number and no label"),
        (dict(siamese="cosine", numbers=True, head_width=3), "has no head; set model.head_width=0"),
        (dict(numbers=True, lowest=2.0), "model.lowest is 2.0 and model.highest 1.0"),
        (dict(backbone="ngram"), "model.backbone gives no vectors"),
        (dict(of_backbone={"heads": 3}), "^of model.backbone: "),
    ],
)
def test_what_can_not_be_is_refused(fields, message):
    with pytest.raises(UserError, match=message):
        make(**fields)


def test_dropout_of_a_cosine_is_refused_in_training_and_not_in_loading():
    older = make(numbers=True, **COSINE | {"dropout": 0.1})
    with pytest.raises(UserError, match="set model.dropout=0.0"):
        Regression().check(None, older)
    Regression().check(None, make(numbers=True, **COSINE))


@pytest.mark.parametrize("backbone", ["bert", "transformer"])
def test_a_source_that_is_too_long_is_refused(backbone):
    model = make(backbone)
    assert model.longest_context == 15
    params = distinct_parameters(model)
    logits_BTV, _ = model.apply(params, jnp.zeros((1, 1), int), **rows([1] * 15, length=15))
    assert np.isfinite(logits_BTV).all()
    with pytest.raises(UserError, match="16 tokens of a source are more than 15"):
        model.apply(params, jnp.zeros((1, 1), int), **rows([1] * 16, length=16))


def test_averaged_word_vectors_are_those_of_the_words_and_have_no_other_table():
    model = make("word_vectors", of_backbone=dict(width=4), special=())
    params = distinct_parameters(model)
    assert names_of(model)["backbone"].keys() == {"embedding"}
    table_VD = np.asarray(nn.meta.unbox(params)["params"]["backbone"]["embedding"]["embedding"])
    for text in ([1, 2, 3], [3, 1, 2], [5]):
        (pooled_BD,) = model.apply(params, **rows(text), method="pooled")
        np.testing.assert_allclose(pooled_BD[0], table_VD[text].mean(axis=0), rtol=1e-5)
