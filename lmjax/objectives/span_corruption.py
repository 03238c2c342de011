"""Predict the spans that are left out of a text: T5's denoising (Raffel et al. 2020)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from lmjax.data.batch import Batch
from lmjax.data.context import ContextPolicy
from lmjax.data.evaluation_batches import evaluation_batches
from lmjax.data.streams import TokenStream
from lmjax.errors import UserError
from lmjax.models.contract import LanguageModel
from lmjax.objectives.contract import Objective, empty_batch

FEWEST = 2  # tokens of a row that can be corrupted: one is left out, one stays


@dataclass(frozen=True)
class SpanCorruption(Objective):
    """Each window is a source without some of its spans, and a target that tells them.

    Sections 3.1.4 and 3.3.4: `noise_density` of the tokens are left out, in spans of `mean_span` on
    average; each leaves a sentinel in the source, which in the target stands before its tokens. One
    more sentinel ends the target. Evaluation leaves out the same spans every time, by
    `evaluation_seed`. Its nats are of those targets, and of no text. Raises UserError for a density
    or a span out of range.
    """

    noise_density: float
    mean_span: float
    evaluation_seed: int
    sentinels: tuple[int, ...]
    start_id: int

    serves = ("source",)
    batchings = ("windows", "random_windows")
    scores_text = False

    def __post_init__(self):
        if not 0 < self.noise_density < 1:
            raise UserError(
                f"objective.noise_density is {self.noise_density}; give more than 0, less than 1"
            )
        if self.mean_span < 1:
            raise UserError(f"objective.mean_span is {self.mean_span}; give at least 1")

    @staticmethod
    def derived_fields(tokenizer: Any) -> dict[str, Any]:
        sentinels = []
        while (sentinel := tokenizer.special_id(f"sentinel_{len(sentinels)}")) is not None:
            sentinels.append(sentinel)
        return {"sentinels": tuple(sentinels), "start_id": tokenizer.start_id}

    def check(self, data, model: LanguageModel) -> None:
        self._check_sentinels(data.length)
        if data.source_tokenizer:
            raise UserError(
                "objective 'span_corruption' makes source and target of one text; leave "
                "data.source_tokenizer out"
            )

    def nats_of(self, model: LanguageModel) -> str:
        fields = "noise_density", "mean_span", "evaluation_seed"
        return self.named("span_corruption", "span_corruption", *fields)

    def example_batch(self, data) -> Batch:
        return self._corrupted(empty_batch(data.length), [np.random.default_rng(0)])[0]

    def prepare(self, batch: Batch, generator: np.random.Generator) -> Batch:
        return self._corrupted(batch, [generator] * len(batch.targets_BT))[0]

    def evaluation_batches(
        self, stream: TokenStream, policy: ContextPolicy, batch_size: int
    ) -> Iterator[tuple[Batch, np.ndarray]]:
        if policy.kind != "windowed" or policy.stride not in (0, policy.window):
            raise UserError(
                "objective 'span_corruption' is scored in windows that do not overlap; set "
                "evaluation.context to 'windowed' and evaluation.stride to 0"
            )
        self._check_sentinels(policy.window)
        for batch, places_BT in evaluation_batches(stream, policy, batch_size):
            generators = [
                np.random.default_rng((self.evaluation_seed, first)) for first in places_BT[:, 0]
            ]
            corrupted, columns_BT = self._corrupted(batch, generators)
            yield corrupted, np.take_along_axis(places_BT, columns_BT, axis=1)

    def sizes(self, length: int) -> tuple[int, int]:
        """How many tokens of `length` are left out, and in how many spans."""
        noise = min(max(round(length * self.noise_density), 1), length - 1)
        return noise, min(max(round(noise / self.mean_span), 1), noise, length - noise)

    def _check_sentinels(self, length: int) -> None:
        needed = self.sizes(max(length, FEWEST))[1] + 1
        if len(self.sentinels) < needed:
            raise UserError(
                f"rows of {length} tokens need {needed} sentinels, and the tokenizer has "
                f"{len(self.sentinels)}; set data.special_tokens to sentinel_0, ..., "
                f"sentinel_{needed - 1}"
            )

    def _corrupted(
        self, batch: Batch, generators: list[np.random.Generator]
    ) -> tuple[Batch, np.ndarray]:
        """The batch of sources and targets, and `columns_BT`, where the targets were.

        A sentinel counts as where its span begins. Rows too short to be corrupted have weight 0.
        """
        rows, length = batch.targets_BT.shape
        all_sizes = [(n, *self.sizes(n)) for n in range(FEWEST, max(length, FEWEST) + 1)]
        source_length = max(n - noise + spans for n, noise, spans in all_sizes)
        target_length = max(noise + spans + 1 for _, noise, spans in all_sizes)
        source_BS, targets_BT, columns_BT = (
            np.zeros((rows, size), np.int32)
            for size in (source_length, target_length, target_length)
        )
        source_weights_BS, weights_BT = (
            np.zeros(array.shape, np.float32) for array in (source_BS, targets_BT)
        )
        for row, generator in enumerate(generators):
            tokens_T = batch.targets_BT[row, batch.weights_BT[row] > 0]
            if len(tokens_T) < FEWEST:
                continue
            source, target, columns = self._split(tokens_T, generator)
            source_BS[row, : len(source)], source_weights_BS[row, : len(source)] = source, 1
            targets_BT[row, : len(target)], weights_BT[row, : len(target)] = target, 1
            columns_BT[row, : len(target)] = columns
        tokens_BT = np.concatenate(
            [np.full((rows, 1), self.start_id, np.int32), targets_BT[:, :-1]], axis=1
        )
        corrupted = batch.replace(
            tokens_BT=tokens_BT,
            targets_BT=targets_BT,
            weights_BT=weights_BT,
            source_BS=source_BS,
            source_weights_BS=source_weights_BS,
        )
        return corrupted, columns_BT

    def _split(
        self, tokens_T: np.ndarray, generator: np.random.Generator
    ) -> tuple[list[int], list[int], list[int]]:
        """The source, the target, and of which token of the text each token of the target is."""
        noise, spans = self.sizes(len(tokens_T))
        kept = _parts(len(tokens_T) - noise, spans, generator)
        left_out = _parts(noise, spans, generator)
        source, target, columns, begin = [], [], [], 0
        for sentinel, stays, goes in zip(self.sentinels, kept, left_out, strict=False):
            middle, end = begin + stays, begin + stays + goes
            source += [*tokens_T[begin:middle].tolist(), sentinel]
            target += [sentinel, *tokens_T[middle:end].tolist()]
            columns += [middle, *range(middle, end)]
            begin = end
        return source, [*target, self.sentinels[spans]], [*columns, begin - 1]


def _parts(total: int, count: int, generator: np.random.Generator) -> list[int]:
    """`total` in so many parts of at least 1, each way to divide it as likely as another."""
    cuts = np.sort(generator.choice(total - 1, count - 1, replace=False)) + 1
    return np.diff(cuts, prepend=0, append=total).tolist()
