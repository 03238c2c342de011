"""minLSTM: an LSTM whose gates and candidate do not see the state (Feng et al. 2024, section 3.2).

E is the inner width. Its two gates are divided by their sum, so that the size of the state does not
depend on time.
"""

import flax.linen as nn

from lmjax.mixers import linear_recurrence
from lmjax.mixers.min_gru import MinGRU, positive


def decay_and_added(candidate, forget, add):
    """`f / (f + i)` and `i / (f + i) g(candidate)`, with f and i the two gates' sigmoids.

    By logarithms of f and i, so that both may be too small for a division.
    """
    odds = nn.log_sigmoid(forget) - nn.log_sigmoid(add)
    return nn.sigmoid(odds), nn.sigmoid(-odds) * positive(candidate)


def step(h_BE, candidate_BE, forget_BE, add_BE, begins_B):
    """`h_BE, h_BE` after one token: `h = f' h + i' g(candidate)` (section 3.2)."""
    decay_BE, added_BE = decay_and_added(candidate_BE, forget_BE, add_BE)
    return linear_recurrence.step(h_BE, decay_BE, added_BE, begins_B)


def parallel(h_BE, candidate_BTE, forget_BTE, add_BTE, begins_BT):
    """`h_BTE, h_BE`: `step` for each of T tokens."""
    decay_BTE, added_BTE = decay_and_added(candidate_BTE, forget_BTE, add_BTE)
    return linear_recurrence.parallel(h_BE, decay_BTE, added_BTE, begins_BT)


class MinLSTM(MinGRU):
    """As MinGRU, with three sums of the input for each cell in place of two."""

    sums = 3
    forms = step, parallel
