"""Two texts a row: where they are of, what stands between them, and when the second follows."""

from types import SimpleNamespace

import numpy as np
import pytest

from lmjax.data.training_batches import make_batching
from lmjax.errors import UserError
from tests.streams import stream_of

STREAM = stream_of(np.arange(1000), document_starts=(0, 300, 301, 640))
LENGTH = 20


def make(length=LENGTH, stream=STREAM, rows=8, seed=0):
    data = dict(batching="sentence_pairs", batch_size=rows, length=length, resets="none")
    return make_batching(stream, SimpleNamespace(**data), seed)


def texts(batch):
    """The first and the second text of each row, by its columns."""
    for row in range(len(batch.tokens_BT)):
        scored_T, types_T = batch.weights_BT[row] > 0, batch.token_types_BT[row]
        first_T, second_T = (np.flatnonzero(scored_T & (types_T == kind)) for kind in (0, 1))
        assert first_T[0] == 1 and (np.diff(first_T) == 1).all()
        assert second_T[0] == first_T[-1] + 2 and (np.diff(second_T) == 1).all()
        last = second_T[-1] + 1
        exists_T = np.arange(batch.tokens_BT.shape[1]) <= last
        np.testing.assert_array_equal(batch.segment_ids_BT[row], np.where(exists_T, 0, -1))
        assert types_T[last] == 1 and types_T[first_T[-1] + 1] == 0
        yield batch.targets_BT[row, first_T], batch.targets_BT[row, second_T]


def test_the_second_text_follows_the_first_in_half_of_the_rows():
    batching, follows, firsts, seen = make(), [], [], set()
    for step in range(2 * batching.steps_per_epoch):
        batch = batching.batch(step)
        for (first_N, second_N), is_next in zip(texts(batch), batch.is_next_B, strict=True):
            assert (np.diff(first_N) == 1).all() and (np.diff(second_N) == 1).all()
            assert not is_next or second_N[0] == first_N[-1] + 1
            whole = np.concatenate([first_N, second_N]) if is_next else first_N
            begins, ends = STREAM.document_starts_M, [300, 301, 640, 1000]
            assert any(b <= whole[0] and whole[-1] < e for b, e in zip(begins, ends, strict=True))
            follows.append(is_next)
            firsts.append(first_N[0])
            seen.update(first_N.tolist(), second_N.tolist())
    assert 0.35 < np.mean(follows) < 0.65
    assert len(set(firsts[:60])) == len(set(firsts)) == 60  # pieces, each once an epoch
    assert batching.distinct_targets(2 * batching.steps_per_epoch) == len(seen)


def test_a_batch_is_a_function_of_seed_and_step():
    one, again, other = make().batch(3), make().batch(3), make(seed=1).batch(3)
    np.testing.assert_array_equal(one.targets_BT, again.targets_BT)
    assert (one.targets_BT != other.targets_BT).any()


def test_what_cannot_be_cut_in_two_is_refused():
    with pytest.raises(UserError, match="give at least 5"):
        make(length=4)
    with pytest.raises(UserError, match="no document of the training split has two tokens"):
        make(stream=stream_of([1, 2, 3], document_starts=(0, 1, 2)), rows=1)
