"""What objectives share whose models read on both sides of a target: tokens at their own places."""

from collections.abc import Iterator

import numpy as np

from lmjax.data.batch import PADDING, Batch
from lmjax.data.context import ContextPolicy
from lmjax.data.evaluation_batches import evaluation_batches
from lmjax.data.streams import TokenStream
from lmjax.errors import UserError
from lmjax.objectives.contract import Objective


class Bidirectional(Objective):
    """A model is shown a row's own tokens, where a causal one is shown those before them.

    Padding has a segment id of its own, so that no token sees it.
    """

    batchings = ("windows", "random_windows", "packed", "documents")
    carries = False

    def passes(self, stream: TokenStream, batch: Batch, places_BT: np.ndarray) -> Iterator[Batch]:
        """What is scored of `batch`, whose tokens are their targets: each target once."""
        raise NotImplementedError

    def evaluation_batches(
        self, stream: TokenStream, policy: ContextPolicy, batch_size: int
    ) -> Iterator[tuple[Batch, np.ndarray]]:
        if policy.kind == "carried":
            raise UserError(
                "a model that reads on both sides of a target carries no state; set "
                "evaluation.context to 'windowed' or 'documents'"
            )
        for batch, places_BT in evaluation_batches(stream, policy, batch_size):
            # In windows that overlap, tokens are read that are not scored.
            overlaps = policy.kind == "windowed"
            exists_BT = (batch.weights_BT > 0) | overlaps & (places_BT < len(stream.tokens_N))
            for scored in self.passes(stream, in_place(batch, exists_BT), places_BT):
                yield scored, places_BT


def in_place(batch: Batch, exists_BT: np.ndarray) -> Batch:
    """The batch with its targets as tokens, and a segment id for each; padding has PADDING."""
    segment_ids_BT = np.int32(0) if batch.segment_ids_BT is None else batch.segment_ids_BT
    return batch.replace(
        tokens_BT=batch.targets_BT,
        segment_ids_BT=np.where(exists_BT, segment_ids_BT, np.int32(PADDING)),
        source_BS=None,
        source_weights_BS=None,
    )
