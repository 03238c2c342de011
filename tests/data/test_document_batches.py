"""Rows that are whole documents with their sources."""

import numpy as np
import pytest
from ml_collections import ConfigDict

from lmjax.data.context import ContextPolicy
from lmjax.data.document_batches import bucket_length
from lmjax.data.evaluation_batches import evaluation_batches
from lmjax.data.streams import with_source
from lmjax.data.training_batches import make_batching
from lmjax.errors import UserError
from tests.streams import stream_of

ROWS = 4


def pairs(count=30, longest=14, seed=0):
    """A stream of documents of random lengths, whose tokens are their places, and its sources."""
    streams = []
    for first, generator in (
        (1, np.random.default_rng(seed)),
        (1001, np.random.default_rng(seed + 1)),
    ):
        lengths = generator.integers(1, longest + 1, count)
        starts = np.cumsum(lengths) - lengths
        streams.append(stream_of(first + np.arange(lengths.sum()), starts))
    return with_source(*streams)


def data_of(**fields):
    defaults = dict(
        batching="documents", batch_size=ROWS, length=14, source_length=14, resets="random"
    )
    return ConfigDict({**defaults, **fields})


def rows_of(batch):
    """(targets, source) of each row that has targets."""
    for row in range(len(batch.tokens_BT)):
        weights, source_weights = batch.weights_BT[row] > 0, batch.source_weights_BS[row] > 0
        if weights.any():
            yield (
                tuple(batch.targets_BT[row][weights].tolist()),
                tuple(batch.source_BS[row][source_weights].tolist()),
            )


def documents_of(stream):
    borders = stream.document_starts_M[1:]
    return [tuple(part.tolist()) for part in np.split(stream.tokens_N, borders)]


def test_an_epoch_holds_each_pair_once_in_an_order_of_its_own():
    stream, data = pairs(), data_of()
    expected = sorted(zip(documents_of(stream), documents_of(stream.source), strict=True))
    batching = make_batching(stream, data, seed=3)
    orders = []
    for epoch in range(2):
        steps = range(epoch * batching.steps_per_epoch, (epoch + 1) * batching.steps_per_epoch)
        orders.append([row for step in steps for row in rows_of(batching.batch(step))])
        assert sorted(orders[-1]) == expected
    assert orders[0] != orders[1]
    again = make_batching(stream, data, seed=3)
    assert list(rows_of(again.batch(9))) == list(rows_of(batching.batch(9)))
    assert list(rows_of(make_batching(stream, data, seed=4).batch(9))) != list(
        rows_of(batching.batch(9))
    )


def test_a_row_reads_the_start_and_then_its_targets():
    stream = pairs()
    batch = make_batching(stream, data_of(), 0).batch(0)
    assert (batch.tokens_BT[:, 0] == stream.start_id).all()
    both = (batch.weights_BT[:, 1:] > 0).astype(bool)
    assert (batch.tokens_BT[:, 1:][both] == batch.targets_BT[:, :-1][both]).all()
    assert not batch.continues_B.any()


def test_rows_are_as_long_as_the_bucket_of_the_longest():
    stream = pairs(count=200, longest=40)
    batching = make_batching(stream, data_of(length=40, source_length=40), 0)
    for step in range(batching.steps_per_epoch):
        batch = batching.batch(step)
        for weights, array in (
            (batch.weights_BT, batch.tokens_BT),
            (batch.source_weights_BS, batch.source_BS),
        ):
            longest = int((weights > 0).sum(axis=1).max())
            assert array.shape[1] == min(bucket_length(longest), 40)
    assert [bucket_length(n) for n in (1, 8, 9, 13, 17, 25, 33, 100)] == [
        *(8, 8, 12, 16, 24, 32, 48, 128)
    ]


def test_what_is_too_long_is_left_out_and_said():
    stream = pairs()
    targets, sources = documents_of(stream), documents_of(stream.source)
    batching = make_batching(stream, data_of(length=9, source_length=11), 0)
    rows = [
        row for step in range(batching.steps_per_epoch) for row in rows_of(batching.batch(step))
    ]
    fitting = [
        pair
        for pair in zip(targets, sources, strict=True)
        if len(pair[0]) <= 9 and len(pair[1]) <= 11
    ]
    assert sorted(rows) == sorted(fitting) and 0 < len(fitting) < 30
    left_out, padding = batching.remarks()
    assert f"{30 - len(fitting)} of 30 training documents are left out" in left_out
    places = [batching.batch(step) for step in range(batching.steps_per_epoch)]
    share = 100 * (1 - np.mean(np.concatenate([batch.weights_BT.ravel() for batch in places])))
    assert f"{share:.1f} % of the targets" in padding
    assert batching.tokens_per_step == sum(len(t) for t, _ in fitting) // batching.steps_per_epoch
    assert batching.distinct_targets(batching.steps_per_epoch) == sum(len(t) for t, _ in fitting)
    with pytest.raises(UserError, match=r"no document has at most data\.length 1"):
        make_batching(pairs(seed=5), data_of(length=1, source_length=1), 0)


@pytest.mark.parametrize("batch_size", [1, 4, 7])
def test_each_target_is_scored_once_after_its_own_source(batch_size):
    stream = pairs()
    seen_N = np.zeros(len(stream.tokens_N), int)
    pairs_seen = []
    for batch, places_BT in evaluation_batches(stream, ContextPolicy("documents"), batch_size):
        is_scored_BT = batch.weights_BT > 0
        seen_N[places_BT[is_scored_BT]] += 1
        assert (batch.targets_BT[is_scored_BT] == stream.tokens_N[places_BT[is_scored_BT]]).all()
        pairs_seen += rows_of(batch)
    assert (seen_N == 1).all()
    assert sorted(pairs_seen) == sorted(
        zip(documents_of(stream), documents_of(stream.source), strict=True)
    )


def test_a_document_beyond_the_models_context_is_refused():
    stream = pairs()
    longest = max(map(len, documents_of(stream)))
    with pytest.raises(UserError, match=f"has {longest} tokens, and {longest - 1} is the most"):
        next(evaluation_batches(stream, ContextPolicy("documents", longest=longest - 1), 4))


def test_documents_without_sources_have_none_in_their_batches():
    stream = stream_of(range(1, 13), [0, 5])
    batch = make_batching(stream, data_of(batch_size=2), 0).batch(0)
    assert batch.source_BS is None and set(batch.inputs()) == set()
    assert batch.weights_BT.sum() == 12


def test_the_fingerprint_tells_of_the_sources():
    one, other = pairs(), pairs()
    target = stream_of(one.tokens_N, one.document_starts_M)
    assert one.fingerprint == other.fingerprint != target.fingerprint
