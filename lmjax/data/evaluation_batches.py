"""Batches in which each target of a stream is scored once."""

from collections.abc import Iterator

import numpy as np

from lmjax.data.batch import Batch, ceil_divide, documents_apart, gather, row_borders
from lmjax.data.context import ContextPolicy
from lmjax.data.document_batches import (
    by_length,
    document_lengths,
    rows_of_documents,
    source_lengths,
)
from lmjax.data.streams import TokenStream
from lmjax.errors import UserError


def evaluation_batches(
    stream: TokenStream, policy: ContextPolicy, batch_size: int
) -> Iterator[tuple[Batch, np.ndarray]]:
    """Batches in which each target of the stream has weight 1 exactly once, and `places_BT` of all.

    Rows of a batch: `policy.rows` if the carry is carried, else `batch_size` windows or documents,
    the longest first. Raises UserError for a stream that is shorter than the rows or than a window,
    and for a document that is too long.
    """
    targets = len(stream.tokens_N)
    if policy.kind == "documents":
        yield from _document_batches(stream, policy, batch_size)
        return
    if policy.kind == "carried":
        if targets < policy.rows:
            raise UserError(
                f"{targets} tokens cannot fill {policy.rows} rows; lower evaluation.rows"
            )
        borders = row_borders(stream, policy.rows)
        begins_B = np.maximum(borders[:-1] - policy.overlap, 0)
        for step in range(ceil_divide((borders[1:] - begins_B).max(), policy.chunk)):
            yield _carried_batch(stream, policy, borders, begins_B, step)
        return
    if targets < policy.window:
        raise UserError(
            f"the split has {targets} tokens, fewer than the window of {policy.window}; "
            "lower evaluation.window (or data.length), or take a larger corpus"
        )
    windows = 1 + ceil_divide(targets - policy.window, policy.stride or policy.window)
    for first in range(0, windows, batch_size):
        yield _window_batch(stream, policy, np.arange(first, first + batch_size))


def _document_batches(
    stream: TokenStream, policy: ContextPolicy, batch_size: int
) -> Iterator[tuple[Batch, np.ndarray]]:
    lengths_M, sources_M = document_lengths(stream), source_lengths(stream)
    for what, sizes_M in (("", lengths_M), ("the source of ", sources_M)):
        if sizes_M.max() > policy.longest:
            other = "set evaluation.context to 'carried' or 'windowed'"
            if stream.source:
                other = "have sources cut by data.cut_sources"
            over = int((sizes_M > policy.longest).sum())
            raise UserError(
                f"{what}document {int(sizes_M.argmax()) + 1} of the split has {sizes_M.max()} "
                f"tokens, and {policy.longest} is the most that is read at once, which {over:,} of "
                f"{len(sizes_M):,} exceed; {other}, or give the model a longer context"
            )
    limits = policy.longest, policy.longest
    order_M = by_length(lengths_M, sources_M)[::-1]
    for first in range(0, len(order_M), batch_size):
        yield rows_of_documents(stream, order_M[first : first + batch_size], batch_size, limits)


def _carried_batch(
    stream: TokenStream, policy: ContextPolicy, borders: np.ndarray, begins_B: np.ndarray, step: int
) -> tuple[Batch, np.ndarray]:
    """Of each row `policy.chunk` columns, of which those before its border have weight 0."""
    places_BT = begins_B[:, None] + step * policy.chunk + np.arange(policy.chunk)[None, :]
    batch = gather(stream, places_BT, places_BT < borders[1:, None], continues=step > 0)
    if policy.by_document:
        batch = documents_apart(batch, stream, places_BT)
    new_BT = places_BT >= borders[:-1, None]
    return batch.replace(weights_BT=batch.weights_BT * new_BT), places_BT


def _window_batch(
    stream: TokenStream, policy: ContextPolicy, windows_B: np.ndarray
) -> tuple[Batch, np.ndarray]:
    stride = policy.stride or policy.window
    columns_T = np.arange(policy.window)
    places_BT = windows_B[:, None] * stride + columns_T[None, :]
    new_BT = (windows_B[:, None] == 0) | (columns_T[None, :] >= policy.window - stride)
    batch = gather(stream, places_BT, places_BT < len(stream.tokens_N))
    return batch.replace(weights_BT=batch.weights_BT * new_BT), places_BT
