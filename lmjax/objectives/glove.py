"""Predict how often two words stand near each other."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lmjax.data.batch import Batch, Draw
from lmjax.data.batching import Batching
from lmjax.data.context import ContextPolicy
from lmjax.data.cooccurrence_batches import CooccurrenceBatches
from lmjax.data.cooccurrences import cooccurrences, draw_neighbours
from lmjax.data.evaluation_batches import evaluation_batches
from lmjax.data.streams import TokenStream
from lmjax.errors import UserError
from lmjax.models.contract import Carry, LanguageModel
from lmjax.objectives.contract import Objective, Outcome

BATCHING = "cooccurrences"
ALONE = np.float32(1e-30)  # the count of a word without neighbours, whose weight is about 0


@dataclass(frozen=True)
class GloVe(Objective):
    """Weighted squares: f(X) (w_i w_j + b_i + b_j - log X)^2, f(X) = min(1, (X / x_max)^alpha).

    Pennington et al. 2014, equations 8 and 9. X counts how often the words i and j stand at most
    `window` words apart in the training text, each time 1/d at a distance of d. The loss is the
    mean over the cells of a batch.

    A text is scored by one drawn neighbour for each of its words, in counts of that text itself.
    They grow with its length, so that the squares of texts of different length have another offset.
    """

    serves = ("words",)

    window: int
    x_max: float
    alpha: float

    def nats_of(self, model: LanguageModel) -> str:
        return "glove_weighted_squares"

    def batching(self, stream: TokenStream, data, seed: int) -> Batching:
        if data.batching != BATCHING:
            raise UserError(
                f"objective 'glove' reads counted pairs of words; set data.batching to {BATCHING!r}"
            )
        return CooccurrenceBatches(cooccurrences(stream, self.window), stream, data, seed)

    def evaluation_batches(
        self, stream: TokenStream, policy: ContextPolicy, batch_size: int
    ) -> Iterator[tuple[Batch, np.ndarray]]:
        cells, words_N = cooccurrences(stream, self.window), stream.tokens_N
        draws_N = np.random.default_rng((0, Draw.OBJECTIVE)).random(len(words_N))
        for batch, places_BT in evaluation_batches(stream, policy, batch_size):
            known_BT = np.minimum(places_BT, len(words_N) - 1)
            near_BT = draw_neighbours(stream, known_BT, self.window, draws_N[known_BT])
            counts_BT = cells.of_pairs(words_N[known_BT], words_N[near_BT])
            counts_BT = np.where(near_BT == known_BT, ALONE, counts_BT)
            scored = batch.replace(
                tokens_BT=words_N[known_BT],
                targets_BT=words_N[near_BT],
                weights_BT=np.where(batch.weights_BT > 0, counts_BT, 0),
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
            "sequences": jnp.float32(len(log_probs_BT)),
        }
        return Outcome(-log_probs_BT.sum(), counts, carry, extras={})
