"""What every objective is: a model and a batch to nats, and what they are divided by."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from lmjax.data.batch import Array, Batch
from lmjax.data.batching import Batching
from lmjax.data.context import ContextPolicy
from lmjax.data.evaluation_batches import evaluation_batches
from lmjax.data.streams import TokenStream
from lmjax.data.training_batches import PreparedBatches, make_batching
from lmjax.errors import UserError
from lmjax.models.contract import Carry, LanguageModel
from lmjax.nn.extras import Collecting
from lmjax.nn.softmax import log_probs_and_right
from lmjax.objective_defaults import OBJECTIVES

OF_TEXT = ("stream", "windows", "random_windows", "packed", "documents")  # each token follows


@flax.struct.dataclass
class Outcome:
    """What an objective makes of a batch.

    What is descended is the sum of `nats` over the batch, divided by one of its `counts`, plus the
    `extras`. Nats alone are reported as the loss.
    """

    nats: jax.Array  # the sum over the targets
    # `tokens` (the weight of the targets), `sequences` (rows that have some) and, where it
    # `tells_right`, `right`
    counts: dict[str, jax.Array]
    carry: Carry
    extras: dict[str, jax.Array]  # auxiliary losses by name, each a mean over the targets
    # Numbers by name that nothing is descended of, each a mean over the targets.
    measures: dict[str, jax.Array] = flax.struct.field(default_factory=dict)


@dataclass(frozen=True)
class Objective:
    """Minus the log-probability of targets; a subclass says of which, and in which batches.

    Its fields are those of `config.objective`, and those that `derived_fields` takes from the
    tokenizer.
    """

    serves: ClassVar[tuple[str, ...]]  # which models, by what they read
    needs_source: ClassVar[bool] = False  # whether documents must have one
    translates: ClassVar[bool] = False  # whether it has `prompts`, after which targets are written
    batchings: ClassVar[tuple[str, ...]] = OF_TEXT  # what `config.data.batching` may be
    scores_text: ClassVar[bool] = True  # False: its targets are not the tokens of a text
    carries: ClassVar[bool] = True  # a text may be read in parts, with a carried state
    tells_right: ClassVar[bool] = False  # counts targets that are the model's first choice

    @staticmethod
    def derived_fields(tokenizer: Any) -> dict[str, Any]:
        """Fields that follow from the tokenizer; raises UserError if it lacks what is needed."""
        return {}

    def check(self, data: Any, model: LanguageModel) -> None:
        """Raises UserError for a `config.data` or a model that it can't be trained with."""

    def nats_of(self, model: LanguageModel) -> str:
        """What the nats are of, as it stands in a score."""
        raise NotImplementedError

    def named(self, kind: str, name: str, *fields: str) -> str:
        """`kind` with those `fields` of the objective `name` that are not its defaults.

        For nats that are another quantity with other values of them.
        """
        changed = [f for f in fields if getattr(self, f) != OBJECTIVES[name][f]]
        return "_".join([kind, *(f"{field}_{getattr(self, field):g}" for field in changed)])

    def prepare(self, batch: Batch, generator: np.random.Generator) -> Batch:
        """What is trained on, of the batch that `config.data` gives; a function of (seed, step)."""
        return batch

    def prompts(
        self, sources: Sequence[Sequence[int]], start_id: int, longest: int | None
    ) -> tuple[list[list[int]], dict[str, Array]]:
        """What is read before the targets of `sources`: the tokens of rows, and what is beside.

        The latter is what a model is given to make its initial carry, sources padded to at most
        `longest` tokens, if it reads no more.
        """
        raise NotImplementedError

    def row_length(self, data: Any) -> int:
        """The most tokens of a row that the model reads, of `data.length` targets."""
        return data.length

    def row_targets(self, data: Any) -> int:
        """How many tokens a row counts as, where training is measured in tokens."""
        return data.length

    def example_batch(self, data: Any) -> Batch:
        """A row as it is trained on, of `config.data`'s lengths: its shapes, with no text."""
        source = {}
        if self.needs_source:
            source["source_BS"] = np.zeros((1, data.source_length), np.int32)
            source["source_weights_BS"] = np.ones((1, data.source_length), np.float32)
        return empty_batch(self.row_length(data)).replace(**source)

    def batching(self, stream: TokenStream, data, seed: int) -> Batching:
        """The way through the training text: that of `config.data`, each of its batches prepared.

        Raises UserError for fields that cannot be, and a stream that is too short.
        """
        return PreparedBatches(make_batching(stream, data, seed), seed, self.prepare)

    def log_probs(
        self, model: LanguageModel, params: Any, batch: Batch, carry: Carry, **context: Any
    ) -> tuple[jax.Array, Carry]:
        """`log_probs_BT, carry`; `context` is given on to the model: `deterministic`, `rngs`."""
        return model.apply(
            params,
            batch.tokens_BT,
            batch.targets_BT,
            carry,
            method="log_probs",
            **batch.inputs(),
            **context,
        )

    def predict(
        self, model: LanguageModel, params: Any, batch: Batch, carry: Carry, **context: Any
    ) -> tuple[jax.Array, jax.Array | None, Carry]:
        """`log_probs_BT, is_right_BT, carry`: whether a target is the most probable token.

        `is_right_BT` is None unless the objective `tells_right`.
        """
        if not self.tells_right:
            log_probs_BT, carry = self.log_probs(model, params, batch, carry, **context)
            return log_probs_BT, None, carry
        logits_BTV, carry = model.apply(params, batch.tokens_BT, carry, **batch.inputs(), **context)
        return *log_probs_and_right(logits_BTV, batch.targets_BT), carry

    def __call__(
        self, model: LanguageModel, params: Any, batch: Batch, carry: Carry, **context: Any
    ) -> Outcome:
        """Nats are minus the weighted sum of the targets' log-probabilities."""
        log_probs_BT, is_right_BT, carry = self.predict(model, params, batch, carry, **context)
        counts = {
            "tokens": batch.weights_BT.sum(),
            "sequences": rows_with_targets(batch.weights_BT),
        }
        if is_right_BT is not None:
            counts["right"] = jnp.sum(is_right_BT * batch.weights_BT)
        return Outcome(-jnp.sum(log_probs_BT * batch.weights_BT), counts, carry, extras={})

    def evaluation_batches(
        self, stream: TokenStream, policy: ContextPolicy, batch_size: int
    ) -> Iterator[tuple[Batch, np.ndarray]]:
        """Batches in which each target has weight 1 exactly once, and `places_BT` of all.

        Raises UserError for a source that is lacking, or that the context would leave unread, and
        as `lmjax.data.evaluation_batches`.
        """
        if self.needs_source and stream.source is None:
            raise UserError(
                "the documents of this corpus have no source to predict them from; choose a corpus "
                "of pairs, such as 'multi30k'"
            )
        if self.needs_source and policy.kind != "documents":
            raise UserError(
                f"each document is predicted from its source, and evaluation.context "
                f"{policy.kind!r} reads none; set it to 'documents'"
            )
        return evaluation_batches(stream, policy, batch_size)


def outcome_of(
    objective: Objective,
    model: LanguageModel,
    params: Any,
    batch: Batch,
    carry: Carry,
    **context: Any,
) -> Outcome:
    """The objective's outcome, with the losses and measures that modules of the model sow."""
    collecting = Collecting(model)
    outcome = objective(collecting, params, batch, carry, **context)
    return outcome.replace(
        extras={**outcome.extras, **collecting.losses},
        measures={**outcome.measures, **collecting.measures},
    )


def rows_with_targets(weights_BT: jax.Array) -> jax.Array:
    """How many rows have a weight that is not 0; those that fill up a batch have none."""
    return jnp.sum((weights_BT > 0).any(axis=1), dtype=jnp.float32)


def empty_batch(length: int) -> Batch:
    """One row of token 0, all of whose targets count."""
    zeros_BT = np.zeros((1, length), np.int32)
    return Batch(
        tokens_BT=zeros_BT,
        targets_BT=zeros_BT,
        weights_BT=np.ones((1, length), np.float32),
        segment_ids_BT=None,
        positions_BT=None,
        continues_B=np.zeros(1, bool),
    )
