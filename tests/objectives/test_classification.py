"""Labels are learnt from their sentences, and how many are told right is counted."""

import json
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.config import base_config, objective_config
from lmjax.data.number_tokenizer import NumberTokenizer
from lmjax.data.streams import with_source
from lmjax.data.word_tokenizer import WordTokenizer
from lmjax.errors import UserError
from lmjax.objectives.classification import Classification, balanced_weights
from lmjax.objectives.contract import empty_batch
from lmjax.objectives.registry import make_objective
from lmjax.training.run import train
from tests.streams import stream_of


def test_a_label_that_a_word_decides_is_learnt(tmp_path):
    generator = np.random.default_rng(0)
    rows = []
    for number in range(300):
        words = [str(word) for word in generator.choice(["film", "plot", "actor"], 4)]
        words[generator.integers(4)] = "good" if number % 2 else "bad"
        rows.append({"source": f"{number} " + " ".join(words), "target": str(number % 2)})
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = base_config("classifier")
    config.model.dropout = 0.0
    config.model.backbone.update(layers=1, width=16, heads=2, dropout=0.0, context_length=40)
    config.data.update(corpus="parallel", files=str(tmp_path / "pairs.jsonl"), batch_size=16)
    config.data.update(source_tokenizer="word", source_length=32)
    config.training.update(duration="60 steps", learning_rate=1e-2)
    config.evaluation.every = config.logging.every = "50 percent"
    results = train(config, tmp_path / "run")
    score = results["splits"]["validation"]
    assert score["accuracy"] == 1 and score["right"] == score["tokens"] > 5
    assert score["nats_of"] == "labels"
    # A label is one token, and reading a sentence of 32 tokens and the padding costs all of them.
    forward = 32 * (2 * 12 * 16**2 + 2 * 2 * 32 * 16)
    assert results["training_flops_per_token"] == pytest.approx(3 * forward, rel=0.03)
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").open()]
    assert rows[-1]["accuracy"] > rows[0]["accuracy"] and rows[-1]["accuracy"] > 0.9


def test_a_label_of_several_tokens_is_refused():
    source = stream_of([1, 2, 3, 4], document_starts=(0, 2))
    labels = with_source(stream_of([1, 2, 3], document_starts=(0, 1)), source)
    with pytest.raises(UserError, match="label of document 2 has 2 tokens.*data.tokenizer to 'l"):
        next(Classification("none", 0.0, (1, 2)).evaluation_batches(labels, None, 1))


LOGITS_BTV = np.random.default_rng(0).standard_normal((4, 1, 5)).astype(np.float32)
LABELS_B = np.array([2, 3, 3, 4], np.int32)
WEIGHTS_B = np.array([1, 1, 1, 0], np.float32)  # the last row is padding
LABELS = WordTokenizer(("a", "b", "c"), True)  # of ids 2, 3 and 4, behind <eos> and <unk>
MODEL = SimpleNamespace(apply=lambda params, tokens_BT, carry, **context: (params, carry))


def outcome(class_weights_V=None, **fields):
    config = objective_config("classification")
    config.update(fields)
    batch = empty_batch(1).replace(
        targets_BT=LABELS_B[:, None],
        weights_BT=WEIGHTS_B[:, None],
        class_weights_BT=None if class_weights_V is None else class_weights_V[LABELS_B][:, None],
    )
    return make_objective(config, LABELS)(MODEL, jnp.asarray(LOGITS_BTV), batch, None)


def descended(outcome):
    """What the step makes of it: the mean over the targets, or over the rows that have one."""
    extras = sum(outcome.extras.values())
    of_tokens, of_rows = (
        float(outcome.nats / outcome.counts[count] + extras) for count in ("tokens", "sequences")
    )
    assert of_tokens == of_rows
    return pytest.approx(of_tokens, rel=1e-5)


def test_nats_are_the_pure_ones_whatever_is_descended():
    log_probs_BV = np.asarray(jax.nn.log_softmax(LOGITS_BTV[:, 0]))
    nats_B = -log_probs_BV[np.arange(4), LABELS_B] * WEIGHTS_B
    plain = outcome()
    assert not plain.extras and float(plain.nats) == pytest.approx(nats_B.sum(), rel=1e-6)
    smooth = outcome(label_smoothing=0.3)
    even_B = -log_probs_BV[:, 2:].mean(axis=1) * WEIGHTS_B
    assert smooth.nats == plain.nats and smooth.counts == plain.counts
    assert (0.7 * nats_B + 0.3 * even_B).sum() / 3 == descended(smooth)
    weights_V = np.array([0, 0, 2, 0.5, 1], np.float32)
    weighed = outcome(weights_V, label_smoothing=0.3)
    each_B = weights_V[LABELS_B] * (0.7 * nats_B + 0.3 * even_B)
    assert weighed.nats == plain.nats and each_B.sum() / 3 == descended(weighed)


def test_balanced_weights_are_those_of_scikit_learn():
    labels_N = np.repeat([2, 3, 5], [6, 3, 1]).astype(np.int32)
    weights_V = balanced_weights(labels_N)
    assert weights_V == pytest.approx([0, 0, 10 / (3 * 6), 10 / (3 * 3), 0, 10 / (3 * 1)])
    assert weights_V[labels_N].mean() == pytest.approx(1)


def test_batches_tell_what_a_label_counts():
    sources = stream_of([7] * 8, document_starts=range(8))
    labels = with_source(stream_of([2, 2, 2, 3, 2, 2, 2, 3], document_starts=range(8)), sources)
    data = base_config("classifier").data
    data.batch_size = 3
    config = objective_config("classification")
    assert (
        make_objective(config, LABELS).batching(labels, data, 0).batch(0).class_weights_BT is None
    )
    config.class_weights = "balanced"
    batches = make_objective(config, LABELS).batching(labels, data, 0)
    for batch in map(batches.batch, range(3)):
        expected_BT = np.select([batch.targets_BT == 2, batch.targets_BT == 3], [8 / 12, 8 / 4], 0)
        np.testing.assert_allclose(batch.class_weights_BT, expected_BT, rtol=1e-6)


@pytest.mark.parametrize(
    ("fields", "tokenizer", "message"),
    [
        ({"class_weights": "balance"}, LABELS, "unknown objective.class_weights 'balance'"),
        ({"label_smoothing": 1.0}, LABELS, "label_smoothing is 1.0; give at least 0 and below 1"),
        ({}, NumberTokenizer(), "tells labels.*set objective.name='regression'"),
    ],
)
def test_what_can_not_be_is_refused(fields, tokenizer, message):
    config = objective_config("classification")
    config.update(fields)
    with pytest.raises(UserError, match=message):
        make_objective(config, tokenizer)
