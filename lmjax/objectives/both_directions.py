"""Predict each token from those before it, and apart from that from those after it."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lmjax.data.batch import Batch
from lmjax.data.streams import TokenStream
from lmjax.models.contract import LanguageModel
from lmjax.objectives.bidirectional import Bidirectional, in_place


@dataclass(frozen=True)
class BothDirections(Bidirectional):
    """Minus the sum of each token's two log-probabilities (Peters et al. 2018, section 3.1).

    They are those of two language models, of which one reads backwards, so the sum is no
    log-probability of the text.
    """

    serves = ("each_side",)

    def nats_of(self, model: LanguageModel) -> str:
        return "both_directions"

    def prepare(self, batch: Batch, generator: np.random.Generator) -> Batch:
        return in_place(batch, batch.weights_BT > 0)

    def passes(self, stream: TokenStream, batch: Batch, places_BT: np.ndarray) -> Iterator[Batch]:
        yield batch
