"""One step's worth of text, for every model and objective."""

import flax.struct
import jax
import numpy as np

Array = np.ndarray | jax.Array


@flax.struct.dataclass
class Batch:
    """B rows of T tokens, what is to be predicted after each of them, and what counts."""

    tokens_BT: Array  # int32, what the model reads
    targets_BT: Array  # int32, the token after each
    weights_BT: Array  # float32, 0 where nothing is scored
    segment_ids_BT: Array | None  # int32, changes where a document begins; None: one document
    positions_BT: Array | None  # int32, tokens since the segment began; None: derived
    continues_B: Array  # bool, whether a row goes on from the same row of the batch before
