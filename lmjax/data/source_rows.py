"""Sources as padded rows, of documents whose targets are not known or not looked at."""

from collections.abc import Iterator, Sequence

import numpy as np

from lmjax.data.document_batches import bucket_length
from lmjax.data.documents import Document
from lmjax.data.tokenizer import Tokenizer
from lmjax.errors import UserError

SHOWN = 40  # characters of a source in a message


def encode_sources(
    documents: Sequence[Document], tokenizer: Tokenizer, longest: int | None, cut: int = 0
) -> list[np.ndarray]:
    """`ids_S` of each source, in the tokenizer of sources; of more than `cut` the first, if not 0.

    Raises UserError, naming the document, for one that is longer than `longest` or has no token.
    """
    rows = []
    for document in documents:
        ids_S = tokenizer.encode_source(*document.source_parts, longest=cut)
        if not len(ids_S):
            raise UserError(f"{document.name} has an empty text; give one or leave it out")
        if longest is not None and len(ids_S) > longest:
            raise UserError(
                f"{document.name} ({document.source[:SHOWN]!r}...) has {len(ids_S):,} tokens, and "
                f"the model reads {longest:,} at most; shorten it, or train with a longer context "
                "or with data.cut_sources"
            )
        rows.append(ids_S)
    return rows


def source_batches(
    rows: Sequence[np.ndarray], batch_size: int, longest: int | None
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """`places_N, source_BS, weights_BS` of rows of about one length; the last ones may be padding.

    B is always `batch_size`, and S one of few lengths, at most `longest`, so that few programs are
    compiled.
    """
    order = sorted(range(len(rows)), key=lambda place: len(rows[place]))
    for begin in range(0, len(order), batch_size):
        places = order[begin : begin + batch_size]
        length = bucket_length(len(rows[places[-1]]))
        length = length if longest is None else min(length, longest)
        source_BS = np.zeros((batch_size, length), np.int32)
        weights_BS = np.zeros((batch_size, length), np.float32)
        for row, place in enumerate(places):
            source_BS[row, : len(rows[place])] = rows[place]
            weights_BS[row, : len(rows[place])] = 1
        yield np.array(places), source_BS, weights_BS
