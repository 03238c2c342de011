"""Token streams made by hand."""

from dataclasses import replace

import numpy as np

from lmjax.data.cache import key_of
from lmjax.data.streams import Counts, Segments, TokenStream


def stream_of(tokens, document_starts=(0,), start_id=0, segment_starts=(0,)):
    """A stream in memory of these tokens, each a word of one byte."""
    tokens_N = np.asarray(tokens, np.int32)
    size = len(tokens_N)
    starts_G = np.asarray(segment_starts, np.int64)
    segments = Segments(starts_G, np.diff(starts_G, append=size), np.zeros_like(starts_G))
    counts = Counts(
        tokens=size,
        words=size,
        bytes=size,
        characters=size,
        documents=len(document_starts),
        segments=len(starts_G),
    )
    starts_M = np.asarray(document_starts, np.int64)
    return TokenStream(tokens_N, starts_M, counts, "text-tokens", start_id, segments)


def stream_of_documents(*documents):
    """A stream in memory of these documents, of which it bears the fingerprint."""
    starts = np.cumsum([0, *map(len, documents[:-1])])
    stream = stream_of(np.concatenate(documents), starts)
    return replace(stream, fingerprint=f"{key_of(documents)}-tokens")
