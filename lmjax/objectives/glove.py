"""Predict how often two words stand near each other."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lmjax.data.batch import Batch
from lmjax.data.batching import Batching
from lmjax.data.context import ContextPolicy
from lmjax.data.cooccurrence_batches import CooccurrenceBatches
from lmjax.data.cooccurrences import cooccurrences
from lmjax.data.evaluation_batches import evaluation_batches
from lmjax.data.streams import TokenStream
from lmjax.errors import UserError
from lmjax.models.contract import Carry, LanguageModel
from lmjax.objectives.contract import Objective, Outcome, rows_with_targets


@dataclass(frozen=True)
class GloVe(Objective):
    """Weighted squares: f(X) (w_i w_j + b_i + b_j - log X)^2, f(X) = min(1, (X / x_max)^alpha).

    Pennington et al. 2014, equations 8 and 9. X counts how often the words i and j stand at most
    `window` words apart in the training text, each time 1/d at a distance of d. The loss is the
    mean over the cells of a batch.

    A text is scored by as many of its cells as it has words, spread evenly over its own counts.
    Counts grow with the length of a text, so that texts of different length differ in this, too.
    """

    serves = ("words",)
    batchings = ("cooccurrences",)
    scores_text = False

    window: int
    x_max: float
    alpha: float

    def check(self, data: Any, model: LanguageModel) -> None:
        if not model.biases:
            raise UserError("GloVe's model has biases; set model.biases=True")

    def nats_of(self, model: LanguageModel) -> str:
        return self.named("glove_weighted_squares", "glove", "window", "x_max", "alpha")

    def batching(self, stream: TokenStream, data, seed: int) -> Batching:
        return CooccurrenceBatches(cooccurrences(stream, self.window), stream, data, seed)

    def evaluation_batches(
        self, stream: TokenStream, policy: ContextPolicy, batch_size: int
    ) -> Iterator[tuple[Batch, np.ndarray]]:
        cells, tokens = cooccurrences(stream, self.window), len(stream.tokens_N)
        for batch, places_BT in evaluation_batches(stream, policy, batch_size):
            cells_BT = np.minimum(places_BT, tokens - 1) * len(cells.counts_N) // tokens
            scored = batch.replace(
                tokens_BT=cells.rows_N[cells_BT],
                targets_BT=cells.columns_N[cells_BT],
                weights_BT=np.where(batch.weights_BT > 0, cells.counts_N[cells_BT], 0),
            )
            yield scored, places_BT

    def log_probs(
        self, model: LanguageModel, params: Any, batch: Batch, carry: Carry, **context: Any
    ) -> tuple[jax.Array, Carry]:
        """Minus the weighted squares; where the count is 0 there is none."""
        counts_BT = batch.weights_BT
        logits_BT = model.apply(params, batch.tokens_BT, batch.targets_BT, method="pair_logits")
        errors_BT = logits_BT - jnp.log(jnp.where(counts_BT > 0, counts_BT, 1))
        weights_BT = jnp.minimum(1, (counts_BT / self.x_max) ** self.alpha)
        return -weights_BT * errors_BT**2, carry

    def __call__(
        self, model: LanguageModel, params: Any, batch: Batch, carry: Carry, **context: Any
    ) -> Outcome:
        log_probs_BT, carry = self.log_probs(model, params, batch, carry)
        counts = {
            "tokens": (batch.weights_BT > 0).sum().astype(jnp.float32),
            "sequences": rows_with_targets(batch.weights_BT),
        }
        return Outcome(-log_probs_BT.sum(), counts, carry, extras={})
