"""What every objective is: a model and a batch to nats, and what they are divided by."""

from typing import Any, Protocol

import flax.struct
import jax

from lmjax.data.batch import Batch
from lmjax.models.contract import Carry, LanguageModel


@flax.struct.dataclass
class Outcome:
    """What an objective makes of a batch.

    What is descended is the sum of `nats` over the batch, divided by one of its `counts`, plus the
    `extras`. Nats alone are reported as the loss.
    """

    nats: jax.Array  # the sum over the targets
    counts: dict[str, jax.Array]  # `tokens` (the weight of the targets), `sequences`
    carry: Carry
    extras: dict[str, jax.Array]  # auxiliary losses by name, each a mean over the targets


class Objective(Protocol):
    """A pure function; `context` is given on to the model: `deterministic`, `rngs`."""

    def __call__(
        self, model: LanguageModel, params: Any, batch: Batch, carry: Carry, **context: Any
    ) -> Outcome: ...
