"""Counts of words near each other equal those of a loop over all pairs; each cell is read once."""

from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest

from lmjax.data.cooccurrence_batches import CooccurrenceBatches
from lmjax.data.cooccurrences import cooccurrences
from lmjax.errors import UserError
from tests.streams import stream_of_documents

DOCUMENTS = [[3, 1, 3, 3, 2], [1], [2, 3, 1, 0]]


def counted_by_loop(documents, window):
    counts = Counter()
    for words in documents:
        for i, word in enumerate(words):
            for j, other in enumerate(words):
                if 0 < abs(i - j) <= window:
                    counts[word, other] += 1 / abs(i - j)
    return counts


@pytest.fixture
def stream():
    return stream_of_documents(*DOCUMENTS)


@pytest.mark.parametrize("window", [1, 3, 100])
def test_counts_are_those_of_a_loop(stream, window):
    cells = cooccurrences(stream, window)
    found = {(i, j): count for i, j, count in zip(*vars(cells).values(), strict=True)}
    assert found == pytest.approx(dict(counted_by_loop(DOCUMENTS, window)))


def test_each_cell_is_read_once_an_epoch_in_an_order_of_seed_and_epoch(stream):
    cells, data = cooccurrences(stream, 3), SimpleNamespace(batch_size=2, length=3)
    batches = CooccurrenceBatches(cells, stream, data, seed=5)

    def epoch(batches, number):
        steps = range(number * batches.steps_per_epoch, (number + 1) * batches.steps_per_epoch)
        found = [batches.batch(step) for step in steps]
        columns = [
            np.concatenate([getattr(batch, name).ravel() for batch in found])
            for name in ("tokens_BT", "targets_BT", "weights_BT")
        ]
        exists = columns[2] > 0
        return [tuple(row) for row in np.stack(columns, axis=1)[exists].tolist()]

    first, second = epoch(batches, 0), epoch(batches, 1)
    every = np.stack([cells.rows_N, cells.columns_N, cells.counts_N], axis=1).tolist()
    assert sorted(first) == sorted(second) == sorted(map(tuple, every))
    assert first != second
    assert epoch(CooccurrenceBatches(cells, stream, data, seed=5), 1) == second


def test_a_text_without_pairs_is_refused(stream):
    with pytest.raises(UserError, match="at least 1"):
        cooccurrences(stream, 0)
    with pytest.raises(UserError, match="no document has two words"):
        cooccurrences(stream_of_documents([1], [2]), 3)
