"""Where segments begin, against a loop over the tokens."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lmjax.nn.segments import segment_starts

ROWS, LENGTH = 3, 7
ids = st.lists(st.integers(0, 2), min_size=ROWS * LENGTH, max_size=ROWS * LENGTH)
numbers = st.lists(st.integers(0, 2), min_size=ROWS, max_size=ROWS)


def counted_starts(index_BT, segment_ids_BT, segment_id_B, start_B):
    start_BT = np.zeros_like(segment_ids_BT)
    for row in range(ROWS):
        before, start = segment_id_B[row], start_B[row]
        for time in range(LENGTH):
            if segment_ids_BT[row, time] != before:
                before, start = segment_ids_BT[row, time], index_BT[row, time]
            start_BT[row, time] = start
    return start_BT


@settings(max_examples=30, deadline=None)
@given(ids, numbers, numbers, numbers)
def test_starts_are_those_of_a_loop_also_where_an_id_returns(ids, before, starts, counts):
    segment_ids_BT = np.reshape(ids, (ROWS, LENGTH))
    start_B = np.array(starts)
    index_BT = start_B[:, None] + np.array(counts)[:, None] + np.arange(LENGTH)[None]
    found_BT = segment_starts(index_BT, segment_ids_BT, (np.array(before), start_B))
    expected_BT = counted_starts(index_BT, segment_ids_BT, before, start_B)
    np.testing.assert_array_equal(found_BT, expected_BT)


def test_a_row_without_a_past_begins_with_its_first_token():
    start_BT = segment_starts(np.arange(5)[None], np.array([[4, 4, 0, 0, 4], [0, 0, 0, 0, 0]]))
    np.testing.assert_array_equal(start_BT, [[0, 0, 2, 2, 4], [0, 0, 0, 0, 0]])
