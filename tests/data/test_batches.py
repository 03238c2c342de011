"""Batches: what is read and predicted, and that every target is seen as often as promised.

The streams hold 1, 2, 3, ..., so that a token tells its own place.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmjax.config import base_config
from lmjax.data.context import ContextPolicy
from lmjax.data.evaluation_batches import evaluation_batches
from lmjax.data.stream_batches import RESET_PROBABILITY
from lmjax.data.training_batches import make_batching, training_batches
from lmjax.errors import UserError
from tests.streams import stream_of

sizes = st.integers(1, 60)
small = st.integers(1, 9)


def counting_stream(size, document_starts=(0,)):
    return stream_of(range(1, size + 1), document_starts)


def data_config(batching, batch_size, length):
    data = base_config().data
    data.batching, data.batch_size, data.length = batching, batch_size, length
    return data


def first_batches(stream, data, number, seed=0):
    batches = training_batches(stream, data, seed)
    return [next(batches) for _ in range(number)]


def scored(batches):
    """All targets with weight 1, in the order of steps, rows and columns."""
    return np.concatenate([batch.targets_BT[batch.weights_BT == 1] for batch in batches])


def placed_batches(stream, policy, batch_size):
    """The evaluation batches, after a look at the places that come with them."""
    batches = []
    for batch, places_BT in evaluation_batches(stream, policy, batch_size):
        exists_BT = batch.targets_BT > 0
        np.testing.assert_array_equal(batch.targets_BT[exists_BT], 1 + places_BT[exists_BT])
        assert exists_BT[batch.weights_BT == 1].all()
        batches.append(batch)
    return batches


def check_arrays(batch, rows, length):
    assert batch.tokens_BT.shape == batch.targets_BT.shape == (rows, length)
    assert batch.tokens_BT.dtype == batch.targets_BT.dtype == np.int32
    assert batch.weights_BT.dtype == np.float32
    assert batch.continues_B.dtype == bool and batch.continues_B.shape == (rows,)
    assert set(np.unique(batch.weights_BT)) <= {0.0, 1.0}


def assert_equal(batch, other):
    for name, array in vars(batch).items():
        np.testing.assert_array_equal(array, getattr(other, name), err_msg=name)


@given(sizes, small, small)
def test_stream_rows_hold_all_targets_in_order(size, rows, length):
    stream, data = counting_stream(size), data_config("stream", rows, length)
    data.resets = "none"
    if size < rows:
        with pytest.raises(UserError, match="too few"):
            training_batches(stream, data, 0)
        return
    steps = make_batching(stream, data, 0).steps_per_epoch
    batches = first_batches(stream, data, steps + 1)
    for batch in batches:
        check_arrays(batch, rows, length)
        seen = batch.weights_BT == 1
        np.testing.assert_array_equal(batch.tokens_BT[seen], batch.targets_BT[seen] - 1)
    by_row = [
        np.concatenate([b.targets_BT[row][b.weights_BT[row] == 1] for b in batches[:-1]])
        for row in range(rows)
    ]
    np.testing.assert_array_equal(np.concatenate(by_row), stream.tokens_N)
    assert max(map(len, by_row)) - min(map(len, by_row)) <= 1
    assert [batch.continues_B.any() for batch in batches] == [False] + [True] * (steps - 1) + [
        False
    ]
    assert_equal(batches[0], batches[-1])


@given(st.integers(1, 3000), small, st.integers(1, 80), st.integers(0, 3))
def test_stream_rows_of_varied_lengths_hold_all_targets_in_order(size, rows, length, epoch):
    stream, data = counting_stream(size + rows), data_config("stream", rows, length)
    data.update(resets="none", length_deviation=5.0)
    batching = make_batching(stream, data, 0)
    steps = range(epoch * batching.steps_per_epoch, (epoch + 1) * batching.steps_per_epoch)
    batches = [batching.batch(step) for step in steps]
    for batch in batches:
        check_arrays(batch, rows, batch.tokens_BT.shape[1])
        assert batch.tokens_BT.shape[1] % 5 == 0
    assert all(batch.weights_BT.any() for batch in batches)
    by_row = [
        np.concatenate([b.targets_BT[row][b.weights_BT[row] == 1] for b in batches])
        for row in range(rows)
    ]
    np.testing.assert_array_equal(np.concatenate(by_row), stream.tokens_N)
    assert [batch.continues_B.any() for batch in batches] == [False] + [True] * (len(steps) - 1)


def test_varied_lengths_are_the_papers_and_each_epochs_own():
    """70 tokens and half of that in 1 of 20, with a deviation of 5, over rows of PTB's length."""
    stream, data = counting_stream(20 * 46_480), data_config("stream", 20, 70)
    data.length_deviation = 5.0
    batching, other = make_batching(stream, data, 0), make_batching(stream, data, 1)
    epochs = [np.diff(batching._borders(epoch)) for epoch in range(20)]
    lengths = np.concatenate(epochs)
    assert len(set(lengths)) < 22
    halved = lengths < 52
    assert abs(halved.mean() - 0.05) < 0.01
    for part, mean in ((lengths[halved], 35), (lengths[~halved], 70)):
        assert abs(part.mean() - mean) < 1 and abs(part.std() - 5) < 1
    assert (epochs[0] != epochs[1]).any()
    assert (epochs[0] != np.diff(other._borders(0))).any()
    seen = sum(batch.weights_BT.sum() for batch in map(batching.batch, range(7)))
    assert batching.distinct_targets(7) == seen
    assert batching.tokens_per_step == pytest.approx(20 * lengths.mean(), abs=1)


def test_unknown_resets_and_resets_of_no_state_are_refused():
    data = data_config("stream", 2, 3)
    data.resets = "document"
    with pytest.raises(UserError, match="did you mean 'documents'"):
        training_batches(counting_stream(20), data, 0)
    data.batching, data.resets = "windows", "documents"
    with pytest.raises(UserError, match="carries no state"):
        training_batches(counting_stream(20), data, 0)


@given(st.integers(1, 30), small, small, st.integers(0, 3))
def test_windows_are_slices_of_the_stream(size, rows, length, seed):
    for batching in ("windows", "random_windows"):
        check_windows(counting_stream(size), data_config(batching, rows, length), seed)


def check_windows(stream, data, seed):
    size, rows, length = len(stream.tokens_N), data.batch_size, data.length
    if size < length:
        with pytest.raises(UserError, match="too few"):
            training_batches(stream, data, seed)
        return
    for batch in first_batches(stream, data, 3, seed):
        check_arrays(batch, rows, length)
        steps = np.arange(length)[None, :]
        np.testing.assert_array_equal(batch.targets_BT, batch.targets_BT[:, :1] + steps)
        np.testing.assert_array_equal(batch.tokens_BT, batch.targets_BT - 1)
        assert batch.weights_BT.all() and not batch.continues_B.any()
        assert batch.targets_BT.max() <= size


def test_random_windows_begin_anywhere_equally_often():
    stream, data = counting_stream(10), data_config("random_windows", 50, 4)
    firsts = np.concatenate([b.targets_BT[:, 0] for b in first_batches(stream, data, 40)])
    times = np.bincount(firsts, minlength=8)
    assert times[0] == 0 and len(times) == 8
    assert (abs(times[1:] - 2000 / 7) < 5 * np.sqrt(2000 / 7)).all()


@given(sizes, small, small, st.integers(0, 3))
def test_windows_hold_each_target_once_an_epoch(size, rows, length, seed):
    length = min(size, length)
    stream, data = counting_stream(size), data_config("windows", rows, length)
    windows = max(1, (size - length + 1) // length)
    steps = make_batching(stream, data, 0).steps_per_epoch
    assert steps == -(-windows // rows)
    epochs = 3
    batches = first_batches(stream, data, epochs * steps, seed)
    firsts = np.concatenate([batch.targets_BT[:, 0] for batch in batches])
    for epoch in range(epochs):
        of_epoch = np.sort(firsts[epoch * windows : (epoch + 1) * windows])
        assert (np.diff(of_epoch) == length).all(), "side by side, so none twice and none left out"
        assert of_epoch[0] <= length and size - (of_epoch[-1] + length - 1) <= 2 * length - 2


def test_windows_of_other_epochs_and_seeds_lie_elsewhere():
    stream, data = counting_stream(1000), data_config("windows", 3, 10)
    firsts = [
        np.concatenate([b.targets_BT[:, 0] for b in first_batches(stream, data, 99, seed)])
        for seed in (0, 1)
    ]
    epochs = [*np.split(firsts[0][: 3 * 99], 3), *np.split(firsts[1][: 3 * 99], 3)]
    assert len({tuple(epoch) for epoch in epochs}) == 6, "orders"
    assert len({int(epoch.min()) for epoch in epochs}) > 3, "offsets"


@pytest.mark.parametrize("batching", ["stream", "windows", "random_windows", "packed"])
@given(st.data(), sizes, small, small, st.integers(0, 40))
def test_distinct_tokens_are_those_of_the_batches(batching, draw, size, rows, length, steps):
    length, rows = min(length, size), min(rows, size)
    starts = sorted({0, *draw.draw(st.lists(st.integers(1, size), max_size=6))} - {size})
    stream, data = counting_stream(size, starts), data_config(batching, rows, length)
    batches = first_batches(stream, data, steps)
    seen = {int(target) for batch in batches for target in scored([batch])}
    assert make_batching(stream, data, 0).distinct_targets(steps) == len(seen)


def test_an_epoch_of_windows_shows_nearly_all_tokens_and_of_random_ones_63_percent():
    stream, shares = counting_stream(100_000), {}
    for batching in ("stream", "windows", "random_windows", "packed"):
        data = data_config(batching, 8, 16)
        steps = make_batching(stream, data, 0).steps_per_epoch
        shares[batching] = make_batching(stream, data, 0).distinct_targets(steps) / 100_000
    assert shares["stream"] == shares["packed"] == 1
    assert shares["windows"] > 0.999
    assert abs(shares["random_windows"] - (1 - np.exp(-1))) < 0.01


def test_random_resets_start_one_row_in_32_anew_whatever_the_other_rows():
    stream, data = counting_stream(64 * 4 * 500), data_config("stream", 64, 4)
    data.resets = "none"
    calm = first_batches(stream, data, 500)
    assert all(batch.continues_B.all() for batch in calm[1:])
    data.resets = "random"
    batches = first_batches(stream, data, 500)
    anew = 1 - np.array([batch.continues_B for batch in batches[1:]])
    expected = RESET_PROBABILITY * anew.size
    assert abs(anew.sum() - expected) < 5 * np.sqrt(expected)
    assert (anew.sum(axis=0) > 0).all(), "every row"
    assert np.abs(anew.sum(axis=1) - anew.sum(axis=1).mean()).max() < 15, "not all rows at once"
    for batch, without in zip(batches, calm, strict=True):
        assert_equal(batch.replace(continues_B=without.continues_B), without)
    second = [batch.continues_B for batch in first_batches(stream, data, 500, seed=1)]
    assert (np.array(second) != np.array([batch.continues_B for batch in batches])).any()


@given(st.data(), sizes, small, small)
def test_document_resets_read_each_document_apart(draw, size, rows, length):
    rows = min(rows, size)
    starts = sorted({0, *draw.draw(st.lists(st.integers(1, size), max_size=6))} - {size})
    stream, data = counting_stream(size, starts), data_config("stream", rows, length)
    data.resets = "documents"
    batches = first_batches(stream, data, make_batching(stream, data, 0).steps_per_epoch)
    for row in range(rows):
        before = None
        for step, batch in enumerate(batches):
            assert bool(batch.continues_B[row]) == (step > 0)
            seen = batch.weights_BT[row] == 1
            for target, read, segment in zip(
                batch.targets_BT[row][seen],
                batch.tokens_BT[row][seen],
                batch.segment_ids_BT[row][seen],
                strict=True,
            ):
                assert read == (0 if target - 1 in starts else target - 1)
                assert before is None or (segment != before) == (target - 1 in starts)
                before = segment


@given(st.data(), sizes, small, small, st.integers(0, 3))
def test_packed_epoch_is_a_permutation_of_whole_documents(draw, size, rows, length, seed):
    starts = sorted({0, *draw.draw(st.lists(st.integers(1, size), max_size=6))} - {size})
    stream, data = counting_stream(size, starts), data_config("packed", rows, length)
    steps = make_batching(stream, data, 0).steps_per_epoch
    batches = first_batches(stream, data, steps, seed)
    targets = scored(batches)
    np.testing.assert_array_equal(np.sort(targets), stream.tokens_N)
    first_of_document = np.isin(targets - 1, starts)
    follows = np.append(False, targets[1:] == targets[:-1] + 1)
    assert (first_of_document | follows).all()
    for batch in batches:
        check_arrays(batch, rows, length)
        assert not batch.continues_B.any()
        for row in range(rows):
            check_packed_row(batch, row, starts)


def check_packed_row(batch, row, starts):
    seen = batch.weights_BT[row] == 1
    assert (np.diff(seen.astype(int)) <= 0).all(), "padding stands at the end"
    for column in np.flatnonzero(seen):
        target = batch.targets_BT[row, column]
        begins = target - 1 in starts
        assert batch.tokens_BT[row, column] == (0 if begins else target - 1)
        if column == 0:
            assert batch.segment_ids_BT[row, 0] == 0
            assert batch.positions_BT[row, 0] == 0
        else:
            changed = batch.segment_ids_BT[row, column] != batch.segment_ids_BT[row, column - 1]
            assert changed == begins
            before = batch.positions_BT[row, column - 1]
            assert batch.positions_BT[row, column] == (0 if begins else before + 1)


def test_packed_order_differs_between_epochs_and_seeds():
    stream, data = counting_stream(60, range(0, 60, 3)), data_config("packed", 2, 5)
    batches = first_batches(stream, data, 12)
    first, second = scored(batches[:6]), scored(batches[6:])
    assert sorted(first) == sorted(second)
    assert list(first) != list(second)
    assert list(first) != list(scored(first_batches(stream, data, 6, seed=1)))


@pytest.mark.parametrize("batching", ["stream", "windows", "random_windows", "packed"])
def test_batches_are_a_function_of_seed_and_step(batching):
    stream, data = counting_stream(50, range(0, 50, 2)), data_config(batching, 2, 5)
    straight = first_batches(stream, data, 12)
    for step in (0, 4, 5, 11):
        resumed = training_batches(stream, data, 0)
        resumed.set_state({"next_index": step})
        assert_equal(next(resumed), straight[step])
        assert resumed.get_state() == {"next_index": step + 1}
    if batching != "stream":
        assert (
            first_batches(stream, data, 1, seed=1)[0].targets_BT != straight[0].targets_BT
        ).any()


def test_only_packed_batches_have_segments():
    stream = counting_stream(20)
    for batching in ("stream", "windows", "random_windows"):
        batch = first_batches(stream, data_config(batching, 2, 3), 1)[0]
        assert batch.segment_ids_BT is None and batch.positions_BT is None
    assert first_batches(stream, data_config("packed", 2, 3), 1)[0].segment_ids_BT is not None


def test_first_target_follows_the_start_token():
    stream = stream_of([5, 6, 7, 8], (0, 2), start_id=9)
    batch = first_batches(stream, data_config("stream", 2, 2), 1)[0]
    np.testing.assert_array_equal(batch.tokens_BT, [[9, 5], [6, 7]])
    batch = first_batches(stream, data_config("packed", 1, 4), 1)[0]
    assert sorted(batch.tokens_BT[0]) == [5, 7, 9, 9]


@given(sizes, small, small, st.integers(0, 9))
def test_carried_evaluation_scores_each_target_once(size, rows, chunk, overlap):
    stream = counting_stream(size)
    policy = ContextPolicy("carried", rows=rows, chunk=chunk, overlap=overlap)
    if size < rows:
        with pytest.raises(UserError, match="cannot fill"):
            list(evaluation_batches(stream, policy, 1))
        return
    batches = placed_batches(stream, policy, 1)
    assert sorted(scored(batches)) == list(stream.tokens_N)
    for i, batch in enumerate(batches):
        check_arrays(batch, rows, chunk)
        assert batch.continues_B.all() if i else not batch.continues_B.any()
    targets_BT = np.concatenate([batch.targets_BT for batch in batches], axis=1)
    tokens_BT = np.concatenate([batch.tokens_BT for batch in batches], axis=1)
    weights_BT = np.concatenate([batch.weights_BT for batch in batches], axis=1)
    for row in range(rows):
        exists = targets_BT[row] > 0
        np.testing.assert_array_equal(tokens_BT[row][exists], targets_BT[row][exists] - 1)
        border = row * size // rows
        assert targets_BT[row, 0] == 1 + max(0, border - overlap)
        np.testing.assert_array_equal(weights_BT[row] == 1, exists & (targets_BT[row] > border))


@given(sizes, small, st.integers(0, 9), small)
def test_windowed_evaluation_scores_each_target_once(size, window, stride, batch_size):
    stride = min(stride, window)
    stream, policy = counting_stream(size), ContextPolicy("windowed", window=window, stride=stride)
    if size < window:
        with pytest.raises(UserError, match="fewer than the window"):
            list(evaluation_batches(stream, policy, batch_size))
        return
    batches = placed_batches(stream, policy, batch_size)
    np.testing.assert_array_equal(scored(batches), stream.tokens_N)
    for batch in batches:
        check_arrays(batch, batch_size, window)
        assert not batch.continues_B.any()
    least_context = window - (stride or window)
    for row, weights in zip(
        np.concatenate([batch.tokens_BT for batch in batches]),
        np.concatenate([batch.weights_BT for batch in batches]),
        strict=True,
    ):
        columns = np.flatnonzero(weights)
        if len(columns):
            np.testing.assert_array_equal(
                row[: columns[-1] + 1], row[0] + np.arange(columns[-1] + 1)
            )
            assert columns[0] >= least_context or row[0] == 0


def test_policy_names_say_what_the_score_depends_on():
    assert ContextPolicy().name == "carried"
    many = ContextPolicy("carried", rows=32, overlap=8, chunk=7)
    assert many.name == "carried_32_rows_overlap_8"
    assert ContextPolicy("windowed", window=64).name == "windowed_64_stride_64"
    assert ContextPolicy("windowed", window=64, stride=16).name == "windowed_64_stride_16"


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "windowd"},
        {"kind": "windowed"},
        {"kind": "windowed", "window": 4, "stride": 5},
        {"kind": "windowed", "window": 4, "stride": -1},
        {"kind": "carried", "rows": 0},
        {"kind": "carried", "rows": 2, "overlap": -1},
        {"kind": "carried", "chunk": 0},
    ],
)
def test_impossible_policies_are_refused(fields):
    with pytest.raises(UserError):
        ContextPolicy(**fields)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [("batching", "pack", "packed"), ("batch_size", 0, "at least 1"), ("length", 0, "at least 1")],
)
def test_impossible_batches_are_refused(field, value, message):
    data = data_config("stream", 2, 3)
    data[field] = value
    with pytest.raises(UserError, match=message):
        training_batches(counting_stream(20), data, 0)
