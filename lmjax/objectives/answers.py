"""Tell the answers of a generated task, each after the token at whose place it counts."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lmjax.data.batch import Batch
from lmjax.data.context import ContextPolicy
from lmjax.data.streams import TokenStream
from lmjax.data.synthetic.examples import BATCHING, ExampleStream, drawn_batch, example_batches
from lmjax.data.synthetic.registry import make_task
from lmjax.errors import UserError
from lmjax.models.contract import Carry, LanguageModel
from lmjax.nn.softmax import log_probs_and_right
from lmjax.objectives.contract import Objective


@dataclass(frozen=True)
class Answers(Objective):
    """Minus the log-probability of the answers, which are no tokens of a text.

    Where a batch tells their places, no other logits are formed by models that can leave them out.
    """

    serves = ("past",)
    batchings = (BATCHING,)
    scores_text = False
    carries = False
    tells_right = True

    def check(self, data: Any, model: LanguageModel) -> None:
        if model.is_counted:
            raise UserError(
                "a model that is counted predicts the next token of a text, and not the answers "
                "of a task; choose another model"
            )

    def nats_of(self, model: LanguageModel) -> str:
        return "answers"

    def row_length(self, data: Any) -> int:
        return make_task(data).row_length(data.length)

    def row_targets(self, data: Any) -> int:
        """Training is measured in the tokens that are read."""
        return self.row_length(data)

    def example_batch(self, data: Any) -> Batch:
        return drawn_batch(make_task(data), np.random.default_rng(0), 1, data.length, data.length)

    def predict(
        self, model: LanguageModel, params: Any, batch: Batch, carry: Carry, **context: Any
    ) -> tuple[jax.Array, jax.Array, Carry]:
        """`log_probs_BT, is_right_BT, carry`; 0 and False at places that are not told."""
        places_BP = batch.places_BP
        if places_BP is None or not model.takes_places:
            return super().predict(model, params, batch, carry, **context)
        context |= batch.inputs()
        logits_BPV, carry = model.apply(
            params, batch.tokens_BT, carry, places_BP=places_BP, **context
        )
        targets_BP = jnp.take_along_axis(batch.targets_BT, places_BP, axis=1)
        log_probs_BP, is_right_BP = log_probs_and_right(logits_BPV, targets_BP)
        rows_B1 = jnp.arange(len(places_BP))[:, None]
        log_probs_BT = jnp.zeros(batch.targets_BT.shape).at[rows_B1, places_BP].set(log_probs_BP)
        is_right_BT = jnp.full(batch.targets_BT.shape, False)
        return log_probs_BT, is_right_BT.at[rows_B1, places_BP].set(is_right_BP), carry

    def evaluation_batches(
        self, stream: TokenStream, policy: ContextPolicy, batch_size: int
    ) -> Iterator[tuple[Batch, np.ndarray]]:
        if not isinstance(stream, ExampleStream):
            raise UserError(
                "only generated tasks have answers; set data.corpus='synthetic' and data.task"
            )
        return example_batches(stream, policy, batch_size)
