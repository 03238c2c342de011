"""A causal model that reads its source in the same row."""

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from lmjax.config import base_config, objective_config
from lmjax.data.context import ContextPolicy
from lmjax.data.streams import with_source
from lmjax.data.training_batches import make_batching
from lmjax.errors import UserError
from lmjax.evaluation.scoring import score_stream
from lmjax.models.cost import model_cost
from lmjax.objectives.prefix import Prefix, join
from lmjax.objectives.registry import check_batches, check_objective, make_objective
from tests.properties.variants import build
from tests.streams import stream_of

TARGETS, SOURCES = [[1, 2, 3], [4], [5, 6]], [[3, 3], [2, 5, 6, 1], [4]]


def stream():
    streams = [
        stream_of(sum(parts, []), np.cumsum([0, *map(len, parts[:-1])]))
        for parts in (TARGETS, SOURCES)
    ]
    return with_source(*streams)


def test_a_row_is_source_separator_and_target():
    data = ConfigDict(
        dict(batching="documents", batch_size=3, length=3, source_length=4, resets="random")
    )
    joined, _ = join(make_batching(stream(), data, 0).batch(0))
    rows = {
        tuple(row[weights > 0]): (read, weights)
        for read, row, weights in zip(
            joined.tokens_BT, joined.targets_BT, joined.weights_BT, strict=True
        )
    }
    for target, source in zip(TARGETS, SOURCES, strict=True):
        read, weights = rows[tuple(target)]
        expected = [*source, 0, *target[:-1]]
        assert read[: len(expected)].tolist() == expected
        assert np.flatnonzero(weights).tolist() == list(
            range(len(source), len(source) + len(target))
        )
    assert joined.source_BS is None


@pytest.mark.parametrize("family", ["rnn", "transformer"])
def test_the_score_is_that_of_each_target_after_its_source(family):
    model = build(family, {"layers": 1, "width": 8})
    params = model.init(jax.random.key(0), np.zeros((1, 4), np.int32))
    expected = 0.0
    for target, source in zip(TARGETS, SOURCES, strict=True):
        row = np.array([[*source, 0, *target[:-1]]], np.int32)
        logits_TV = np.asarray(model.apply(params, row)[0][0], np.float64)
        log_probs_TV = logits_TV - np.log(np.exp(logits_TV).sum(axis=-1, keepdims=True))
        expected -= sum(log_probs_TV[len(source) + i, token] for i, token in enumerate(target))
    for batch_size in (1, 2, 3):
        score = score_stream(
            model, params, stream(), ContextPolicy("documents"), batch_size, Prefix()
        )
        assert score.total_nats == pytest.approx(expected, rel=1e-5)
        assert score.nats_of == "conditional" and score.tokens == 6


def config_of(name, **data):
    config = base_config("rnn")
    config.objective = objective_config(name)
    config.data.update(data)
    return config


def test_what_an_objective_cannot_train_is_refused_in_words():
    model = build("rnn", {"layers": 1, "width": 8})
    config = config_of("seq2seq")
    with pytest.raises(
        UserError, match="which reads the tokens before each target alone; set .*'prefix'"
    ):
        check_objective(config, make_objective(config.objective, None), model)
    prefix = config_of("prefix", batching="documents")
    objective = make_objective(prefix.objective, None)
    check_objective(prefix, objective, model)
    with pytest.raises(UserError, match="have none; choose a corpus of pairs"):
        check_batches(prefix, objective, stream_of([1, 2, 3]))
    with pytest.raises(UserError, match="set it to 'documents'"):
        check_batches(config_of("prefix"), objective, stream())
    check_batches(prefix, objective, stream())
    wrong = ConfigDict(dict(name="prefix", share=0.1))
    with pytest.raises(UserError, match="objective 'prefix' has no field 'share'"):
        make_objective(wrong, None)


@pytest.mark.parametrize("name", ["prefix", "seq2seq"])
def test_a_score_that_would_read_no_source_is_refused(name):
    objective = make_objective(objective_config(name), None)
    for kind in (ContextPolicy("carried"), ContextPolicy("windowed", window=2)):
        with pytest.raises(UserError, match="set it to 'documents'"):
            next(objective.evaluation_batches(stream(), kind, 1))
    with pytest.raises(UserError, match="have no source"):
        next(objective.evaluation_batches(stream_of([1, 2]), ContextPolicy("documents"), 1))


def test_source_and_target_must_fit_into_the_context_together():
    longest = max(
        len(source) + len(target) for source, target in zip(SOURCES, TARGETS, strict=True)
    )
    next(Prefix().evaluation_batches(stream(), ContextPolicy("documents", longest=longest), 3))
    with pytest.raises(UserError, match=f"{longest} tokens together, and {longest - 1} is"):
        policy = ContextPolicy("documents", longest=longest - 1)
        next(Prefix().evaluation_batches(stream(), policy, 3))


def test_a_counted_model_is_given_no_source():
    config = base_config("ngram")
    config.objective = objective_config("prefix")
    objective = make_objective(config.objective, None)
    with pytest.raises(UserError, match="'ngram' is counted on texts alone"):
        check_objective(config, objective, build("ngram", {}))


def test_operations_are_those_of_all_that_is_read():
    """Of one target they count what reading the source took, as those of an encoder do."""
    model = build("transformer", {"layers": 1, "width": 8})
    params = jax.eval_shape(lambda: model.init(jax.random.key(0), np.zeros((1, 12), np.int32)))
    row = Prefix().row_length(base_config().data)
    assert row == base_config().data.source_length + base_config().data.length
    whole, of_targets = model_cost(model, params, 12), model_cost(model, params, 12, targets=4)
    assert of_targets.flops_per_token == 3 * whole.flops_per_token
    assert of_targets.training_flops_per_token == 3 * whole.training_flops_per_token
