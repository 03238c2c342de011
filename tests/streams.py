"""Token streams made by hand."""

import numpy as np

from lmjax.data.streams import Counts, TokenStream


def stream_of(tokens, document_starts=(0,), start_id=0):
    """A stream in memory of these tokens, each a word of one byte."""
    tokens_N = np.asarray(tokens, np.int32)
    size = len(tokens_N)
    counts = Counts(
        tokens=size, words=size, bytes=size, characters=size, documents=len(document_starts)
    )
    return TokenStream(
        tokens_N, np.asarray(document_starts, np.int64), counts, "text-tokens", start_id
    )
