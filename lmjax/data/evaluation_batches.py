"""Batches in which each target of a stream is scored once."""

from collections.abc import Iterator

import numpy as np

from lmjax.data.batch import Batch, ceil_divide, contiguous_batch, gather
from lmjax.data.context import ContextPolicy
from lmjax.data.streams import TokenStream
from lmjax.errors import UserError


def evaluation_batches(
    stream: TokenStream, policy: ContextPolicy, batch_size: int
) -> Iterator[Batch]:
    """Batches in which each target of the stream has weight 1 exactly once.

    Rows of a batch: `policy.rows` if the carry is carried, else `batch_size` windows. Raises
    UserError for a stream that is shorter than the rows or than a window.
    """
    targets = len(stream.tokens_N)
    if policy.kind == "carried":
        if targets < policy.rows:
            raise UserError(
                f"{targets} tokens cannot fill {policy.rows} rows; lower evaluation.rows"
            )
        for step in range(ceil_divide(ceil_divide(targets, policy.rows), policy.chunk)):
            yield contiguous_batch(stream, policy.rows, policy.chunk, step)
        return
    if targets < policy.window:
        raise UserError(
            f"the split has {targets} tokens, fewer than the window of {policy.window}; "
            "lower evaluation.window (or data.length), or take a larger corpus"
        )
    windows = 1 + ceil_divide(targets - policy.window, policy.stride or policy.window)
    for first in range(0, windows, batch_size):
        yield _window_batch(stream, policy, np.arange(first, first + batch_size))


def _window_batch(stream: TokenStream, policy: ContextPolicy, windows_B: np.ndarray) -> Batch:
    stride = policy.stride or policy.window
    columns_T = np.arange(policy.window)
    targets_BT = windows_B[:, None] * stride + columns_T[None, :]
    new_BT = (windows_B[:, None] == 0) | (columns_T[None, :] >= policy.window - stride)
    batch = gather(stream, targets_BT, targets_BT < len(stream.tokens_N))
    return batch.replace(weights_BT=batch.weights_BT * new_BT)
