from types import SimpleNamespace
from xml.etree import ElementTree

import jax
import numpy as np
import pytest
from flax.linen import meta

from lmjax.config import model_config
from lmjax.data.word_tokenizer import WordTokenizer
from lmjax.errors import UserError
from lmjax.models.registry import build_model
from lmjax.studies.alignments import Alignment, align, write_alignment


def test_each_token_and_the_end_have_the_weights_that_the_model_gave():
    tokenizer = WordTokenizer.train(["ein hund rennt ."], 0, False)
    model, params = small_model(tokenizer, attention="general")
    tokens = tokenizer.encode("hund . ein").tolist()
    found = align(model, params, tokenizer, "ein hund", tokens)
    assert found.source == ("ein", "hund") and found.target == ("hund", ".", "ein", "<eos>")
    np.testing.assert_allclose(found.weights_TS.sum(axis=1), 1.0, rtol=1e-5)
    longer = align(model, params, tokenizer, "ein hund", [*tokens, tokens[0]])
    np.testing.assert_allclose(longer.weights_TS[:4], found.weights_TS, rtol=1e-5)


def small_model(tokenizer, **fields):
    config = model_config("seq2seq")
    config.update(width=4, **fields)
    sizes = SimpleNamespace(vocabulary_size=tokenizer.vocabulary_size, source=tokenizer)
    model = build_model(config, sizes)
    return model, meta.unbox(model.init(jax.random.key(0), np.zeros((1, 1), np.int32)))


def test_the_picture_is_labelled_along_both_axes_and_darkest_where_the_weight_is(tmp_path):
    weights_TS = np.array([[0.0, 1.0], [0.5, 0.5], [1.0, 0.0]])
    alignment = Alignment(("Ein", "Hund"), ("A", "$d_o$g", "<eos>"), weights_TS)
    write_alignment(alignment, tmp_path / "one.svg")
    write_alignment(alignment, tmp_path / "two.svg")
    picture = (tmp_path / "one.svg").read_text()
    assert picture == (tmp_path / "two.svg").read_text()
    texts = [text for text in ElementTree.fromstring(picture).itertext() if text.strip()]
    for label in (*alignment.source, *alignment.target, "source", "translation", "weight"):
        assert label in texts
    assert picture.count("fill: #0072b2") == 2 and picture.count("fill: #ffffff") >= 2


@pytest.mark.parametrize(
    ("attention", "source", "message"),
    [("none", "ein", "no attention to a source"), ("dot", "", "a source without tokens")],
)
def test_what_can_not_be_aligned_is_said(attention, source, message):
    tokenizer = WordTokenizer.train(["ein hund"], 0, False)
    model, params = small_model(tokenizer, attention=attention)
    with pytest.raises(UserError, match=message):
        align(model, params, tokenizer, source, [1])
