"""Places are pointed at in the text alone: not in the question, the padding or special tokens."""

from types import SimpleNamespace

import numpy as np
import pytest

from lmjax.checks.probes import distinct_parameters
from lmjax.config import model_config
from lmjax.data.span_tokenizer import SpanTokenizer
from lmjax.errors import UserError
from lmjax.models.contract import initial_carry
from lmjax.models.registry import build_model
from lmjax.nn.softmax import HIDDEN

CLASS, SEPARATOR = 10, 11
SIZES = {
    "bert": dict(width=8, heads=2, layers=1, context_length=16),
    "rnn": dict(width=6, layers=1),
    "bilstm": dict(width=6, layers=1),
}
ROWS = [
    ([1, 2, SEPARATOR, 3, 4, 5, SEPARATOR], [4, 5, 6]),  # as BERT reads a pair
    ([1, SEPARATOR, 3, 4], [3, 4]),
    ([1, 2, 3, SEPARATOR], [1, 2, 3]),  # one text
    ([1, 2], [1, 2]),
]


def make(backbone="bert", special=("class", "separator"), places=9):
    config = model_config("span_finder")
    config.backbone = model_config(backbone)
    config.backbone.update(SIZES[backbone])
    ids = {"class": CLASS, "separator": SEPARATOR}
    target = SpanTokenizer.of_rows(places)
    source = SimpleNamespace(
        vocabulary_size=12, end_id=None, special_id={role: ids[role] for role in special}.get
    )
    tokenizer = SimpleNamespace(
        vocabulary_size=target.vocabulary_size, target=target, source=source
    )
    return build_model(config, tokenizer)


def source_of(texts, length=8):
    source_BS = np.zeros((len(texts), length), np.int32)
    weights_BS = np.zeros((len(texts), length), np.float32)
    for row, text in enumerate(texts):
        source_BS[row, : len(text)], weights_BS[row, : len(text)] = text, 1
    return {"source_BS": source_BS, "source_weights_BS": weights_BS}


@pytest.mark.parametrize(
    ("backbone", "special"),
    [("bert", ("class", "separator")), ("bert", ("separator",)), ("rnn", ("separator",))],
)
def test_only_tokens_of_the_text_are_pointed_at(backbone, special):
    model = make(backbone, special)
    params = distinct_parameters(model)
    tokens_BT = np.zeros((len(ROWS), 2), np.int32)
    source = source_of([text for text, _ in ROWS])
    logits_BTV, carry = model.apply(params, tokens_BT, None, **source)
    assert logits_BTV.shape == (4, 2, 10) and carry is None
    for row, (_, places) in enumerate(ROWS):
        for logits_V in np.asarray(logits_BTV)[row]:
            shown = np.flatnonzero(logits_V > HIDDEN)
            assert shown.tolist() == [0, *places] and logits_V[0] == 0
    starts, ends = np.moveaxis(np.asarray(logits_BTV), 1, 0)
    assert np.abs(starts - ends)[:, 1:].max() > 0.01  # two scores a token


def test_the_question_changes_what_is_pointed_at():
    model = make()
    params, tokens_BT = distinct_parameters(model), np.zeros((2, 2), np.int32)
    source = source_of([[1, SEPARATOR, 3, 4], [2, SEPARATOR, 3, 4]])
    logits_BTV, _ = model.apply(params, tokens_BT, None, **source)
    assert np.abs(logits_BTV[0] - logits_BTV[1])[:, 3:5].max() > 1e-4


@pytest.mark.parametrize("length", [8, 12, 15])
def test_rows_may_be_padded_beyond_the_last_place(length):
    model = make(places=9)
    params, tokens_BT = distinct_parameters(model), np.zeros((1, 2), np.int32)
    expected_BTV, _ = model.apply(params, tokens_BT, None, **source_of([ROWS[0][0]], 8))
    found_BTV, _ = model.apply(params, tokens_BT, None, **source_of([ROWS[0][0]], length))
    np.testing.assert_allclose(found_BTV, expected_BTV, atol=1e-5)


def test_beginning_and_end_are_told_also_one_after_the_other():
    model = make()
    params, source = distinct_parameters(model), source_of([ROWS[0][0]])
    whole_BTV, _ = model.apply(params, np.zeros((1, 3), np.int32), None, **source)
    carry = initial_carry(model, params, 1, 3, **source)
    for column in range(3):
        told_BTV, carry = model.apply(params, np.ones((1, 1), np.int32), carry)
        np.testing.assert_allclose(told_BTV[:, 0], whole_BTV[:, column], atol=1e-5)


def test_a_backbone_that_leaves_its_own_place_out_is_refused():
    with pytest.raises(UserError, match="found by its own tokens"):
        make("bilstm")
