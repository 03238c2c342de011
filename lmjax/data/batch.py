"""One step's worth of text, for every model and objective, and how it is read from a stream.

The k-th target of a stream is `tokens_N[k]`; what is read before it is `tokens_N[k - 1]`, and
`start_id` before the first target of the stream (of each document, where documents are read apart).
"""

from enum import IntEnum

import flax.struct
import jax
import numpy as np

from lmjax.data.streams import TokenStream

Array = np.ndarray | jax.Array
INPUTS = ("segment_ids_BT", "positions_BT", "source_BS", "source_weights_BS", "token_types_BT")
PADDING = -1  # the segment of what is no token, where it has one of its own
CACHED_EPOCHS = 2  # whose order is kept: at the border of two, batches are read of both


class Draw(IntEnum):
    """What a random draw is for: it is a function of `(seed, Draw, step or epoch)`."""

    RANDOM_WINDOWS = 0
    DOCUMENT_ORDER = 1
    RESETS = 2
    WINDOW_ORDER = 3
    OBJECTIVE = 4
    CELL_ORDER = 5
    SENTENCE_PAIRS = 6
    LENGTHS = 7
    EXAMPLES = 8
    EXAMPLE_ORDER = 9
    HELD_OUT = 10
    AUGMENTATION = 11


@flax.struct.dataclass
class Batch:
    """B rows of T tokens, what is to be predicted after each of them, and what counts."""

    tokens_BT: Array  # int32, what the model reads
    targets_BT: Array  # int32, the token after each
    weights_BT: Array  # float32, 0 where nothing is scored
    segment_ids_BT: Array | None  # int32, changes where a document begins; None: one document
    positions_BT: Array | None  # int32, tokens since the segment began; None: derived
    continues_B: Array  # bool, whether a row goes on from the same row of the batch before
    source_BS: Array | None = None  # int32, what is read before the row; None: nothing
    source_weights_BS: Array | None = None  # float32, 0 for the padding of the source
    token_types_BT: Array | None = None  # int32, 0 in the first text of a pair, 1 in the second
    is_next_B: Array | None = None  # bool, whether a pair's second text follows the first
    class_weights_BT: Array | None = None  # float32, of what is descended; None: all are 1
    places_BP: Array | None = None  # int32, of all targets that count; None: they may be anywhere

    def inputs(self) -> dict[str, Array]:
        """What a model is given beside tokens, targets and carry: those of it that there are."""
        given = {name: getattr(self, name) for name in INPUTS}
        return {name: array for name, array in given.items() if array is not None}


def row_borders(stream: TokenStream, rows: int) -> np.ndarray:
    """Where each of `rows` rows, equally long but for one token, begins in the stream, and N."""
    return np.arange(rows + 1) * len(stream.tokens_N) // rows


def contiguous_batch(
    stream: TokenStream, rows: int, begin: int, length: int, by_document: bool = False
) -> Batch:
    """`length` columns from `begin` on of the stream in `rows` rows, equally long but for one."""
    borders = row_borders(stream, rows)
    targets_BT = borders[:-1, None] + begin + np.arange(length)[None, :]
    exists_BT = targets_BT < borders[1:, None]
    batch = gather(stream, targets_BT, exists_BT, continues=begin > 0)
    return documents_apart(batch, stream, targets_BT) if by_document else batch


def documents_apart(batch: Batch, stream: TokenStream, targets_BT: np.ndarray) -> Batch:
    """The batch of these targets with each document as a segment, before which is `start_id`."""
    places_BT = np.minimum(targets_BT, len(stream.tokens_N) - 1)
    starts_M = stream.document_starts_M
    document_BT = np.searchsorted(starts_M, places_BT, side="right") - 1
    begins_BT = places_BT == starts_M[document_BT]
    return batch.replace(
        tokens_BT=np.where(begins_BT, np.int32(stream.start_id), batch.tokens_BT),
        segment_ids_BT=document_BT.astype(np.int32),
    )


def gather(
    stream: TokenStream,
    targets_BT: np.ndarray,
    exists_BT: np.ndarray,
    begins_BT: np.ndarray | None = None,
    continues: bool = False,
) -> Batch:
    """The batch of the targets at the given places; 0, with weight 0, where `exists_BT` is not."""
    places_BT = np.where(exists_BT, targets_BT, 0)
    begins_BT = places_BT == 0 if begins_BT is None else begins_BT
    before_BT = stream.tokens_N[np.maximum(places_BT - 1, 0)]
    return Batch(
        tokens_BT=np.where(begins_BT, np.int32(stream.start_id), before_BT),
        targets_BT=np.where(exists_BT, stream.tokens_N[places_BT], np.int32(0)),
        weights_BT=exists_BT.astype(np.float32),
        segment_ids_BT=None,
        positions_BT=None,
        continues_B=np.full(len(places_BT), continues),
    )


def ceil_divide(numerator: int, denominator: int) -> int:
    return -(-numerator // denominator)
