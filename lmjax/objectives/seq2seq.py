"""Predict each token of a target from its source and the target's tokens before it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lmjax.data.batch import Array
from lmjax.data.document_batches import bucket_length
from lmjax.models.contract import LanguageModel
from lmjax.objectives.contract import Objective


@dataclass(frozen=True)
class SequenceToSequence(Objective):
    """Minus the log-probability of each target (Sutskever et al. 2014, equation 1).

    Teacher-forced: what a model reads before a target are the true tokens, not its own.
    """

    serves = ("source",)
    needs_source = True
    translates = True
    batchings = ("documents",)

    def nats_of(self, model: LanguageModel) -> str:
        return "conditional"

    def prompts(
        self, sources: Sequence[Sequence[int]], start_id: int, longest: int | None
    ) -> tuple[list[list[int]], dict[str, Array]]:
        """The start token alone, after a source in the lengths that are trained on."""
        length = bucket_length(max(map(len, sources), default=0))
        length = length if longest is None else min(length, longest)
        source_BS = np.zeros((len(sources), length), np.int32)
        source_weights_BS = np.zeros((len(sources), length), np.float32)
        for row, source in enumerate(sources):
            source_BS[row, : len(source)] = source
            source_weights_BS[row, : len(source)] = 1
        inputs = {"source_BS": source_BS, "source_weights_BS": source_weights_BS}
        return [[start_id]] * len(sources), inputs
