"""Predict hidden tokens from those on both sides of them: masked language modelling."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lmjax.data.batch import Batch
from lmjax.data.streams import TokenStream
from lmjax.errors import UserError, nearest
from lmjax.models.contract import Carry, LanguageModel
from lmjax.nn.softmax import log_probs_and_right
from lmjax.objectives.bidirectional import Bidirectional, in_place
from lmjax.objectives.contract import Outcome, rows_with_targets

EVALUATIONS = ("complementary", "pseudo_likelihood")
PAIRS = "sentence_pairs"


@dataclass(frozen=True)
class Masked(Bidirectional):
    """Minus the log-probability of hidden tokens (Devlin et al. 2019, section 3.1).

    In training, `share` of each row's tokens are hidden, others at each step: of those,
    `mask_share` are shown as the mask, `random_share` as any token, the others as they are. With
    `whole_words`, all tokens of a word are hidden together, or none. With `next_sentence`, whether
    the second text of a pair follows the first is predicted as well, a loss apart.

    In evaluation each target is hidden once, as the mask, whatever hides it in training:
    `complementary`, a share of 1 / `evaluation_passes` at a time, or `pseudo_likelihood`, alone
    (Salazar et al. 2020, equation 1).

    Raises UserError for shares out of range.
    """

    share: float
    mask_share: float
    random_share: float
    whole_words: bool
    next_sentence: bool
    evaluation: str
    evaluation_passes: int
    evaluation_seed: int
    mask_id: int
    class_id: int | None
    separator_id: int | None
    vocabulary_size: int
    goes_on_before: bytes  # of each token, whether a word may go on before it, and after it
    goes_on_after: bytes

    serves = ("both",)
    tells_right = True

    def __post_init__(self):
        for name in ("share", "mask_share", "random_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"objective.{name} is {getattr(self, name)}; give from 0 to 1")
        if not self.share:
            raise UserError("objective.share is 0, so nothing is predicted; give more")
        if self.mask_share + self.random_share > 1:
            raise UserError(
                f"objective.mask_share {self.mask_share} and random_share {self.random_share} are "
                "more than 1 together; lower one of them"
            )
        if self.evaluation not in EVALUATIONS:
            hint = nearest(self.evaluation, EVALUATIONS)
            raise UserError(f"unknown objective.evaluation {self.evaluation!r}: {hint}")
        if self.evaluation_passes < 2:
            raise UserError(
                f"objective.evaluation_passes is {self.evaluation_passes}; give at least 2, so "
                "that some tokens are shown"
            )

    @staticmethod
    def derived_fields(tokenizer: Any) -> dict[str, Any]:
        mask_id = tokenizer.special_id("mask")
        if mask_id is None:
            raise UserError(
                "objective 'masked' needs a token that stands for a hidden one; set "
                "data.special_tokens=('mask',)"
            )
        before, after = tokenizer.word_goes_on()
        return {
            "mask_id": mask_id,
            "class_id": tokenizer.special_id("class"),
            "separator_id": tokenizer.special_id("separator"),
            "vocabulary_size": tokenizer.vocabulary_size,
            "goes_on_before": before,
            "goes_on_after": after,
        }

    @property
    def batchings(self) -> tuple[str, ...]:
        return (PAIRS,) if self.next_sentence else (*Bidirectional.batchings, PAIRS)

    def check(self, data, model: LanguageModel) -> None:
        if data.batching == PAIRS and None in (self.class_id, self.separator_id):
            raise UserError(
                f"data.batching {PAIRS!r} needs tokens before and between two texts; set "
                "data.special_tokens=('mask', 'class', 'separator')"
            )
        if self.next_sentence != getattr(model, "next_sentence", False):
            raise UserError(
                f"objective.next_sentence is {self.next_sentence} and model.next_sentence is not; "
                "set both or none"
            )

    def example_batch(self, data) -> Batch:
        batch = super().example_batch(data)
        if data.batching != PAIRS:
            return batch
        return batch.replace(
            segment_ids_BT=np.zeros_like(batch.tokens_BT),
            token_types_BT=np.zeros_like(batch.tokens_BT),
            is_next_B=np.ones(1, bool),
        )

    def nats_of(self, model: LanguageModel) -> str:
        if self.evaluation == "pseudo_likelihood":
            return "pseudo_likelihood"
        return self.named(f"masked_1_of_{self.evaluation_passes}", "masked", "evaluation_seed")

    def prepare(self, batch: Batch, generator: np.random.Generator) -> Batch:
        exists_BT = batch.weights_BT > 0
        if batch.token_types_BT is not None:  # a pair, which leaves places for special tokens
            exists_BT = batch.segment_ids_BT >= 0
            special_BT = np.full_like(batch.targets_BT, self.separator_id)
            special_BT[:, 0] = self.class_id
            targets_BT = np.where(batch.weights_BT > 0, batch.targets_BT, special_BT)
            batch = batch.replace(targets_BT=np.where(exists_BT, targets_BT, batch.targets_BT))
        batch = in_place(batch, exists_BT)
        hidden_BT = self._draw_hidden(batch, generator)
        how_BT = generator.random(hidden_BT.shape)
        any_BT = generator.integers(self.vocabulary_size, size=hidden_BT.shape, dtype=np.int32)
        shown_BT = np.where(how_BT < self.mask_share + self.random_share, any_BT, batch.targets_BT)
        shown_BT = np.where(how_BT < self.mask_share, np.int32(self.mask_id), shown_BT)
        return batch.replace(
            tokens_BT=np.where(hidden_BT, shown_BT, batch.targets_BT),
            weights_BT=hidden_BT.astype(np.float32),
        )

    def _draw_hidden(self, batch: Batch, generator: np.random.Generator) -> np.ndarray:
        """`hidden_BT`: in each row the share of its tokens, to the nearest; of whole words, less.

        A word is left out that would be hidden in part.
        """
        scored_BT = batch.weights_BT > 0
        rows, length = scored_BT.shape
        draw_BT = generator.random((rows, length))
        begins_BT = self._begins_word(batch)
        first_BT = np.maximum.accumulate(np.where(begins_BT, np.arange(length)[None, :], 0), axis=1)
        draw_BT = np.where(scored_BT, np.take_along_axis(draw_BT, first_BT, axis=1), 2.0)
        rank_BT = np.argsort(np.argsort(draw_BT, axis=1, kind="stable"), axis=1)
        count_B = np.maximum(1, np.rint(self.share * scored_BT.sum(axis=1)))
        hidden_BT = scored_BT & (rank_BT < count_B[:, None])
        word_N = (np.arange(rows)[:, None] * length + first_BT).ravel()
        left_N = np.bincount(word_N, (scored_BT & ~hidden_BT).ravel(), rows * length)
        return hidden_BT & (left_N[word_N] == 0).reshape(rows, length)

    def _begins_word(self, batch: Batch) -> np.ndarray:
        """`begins_BT`: whether a token is the first that is hidden or shown together."""
        begins_BT = np.full(batch.targets_BT.shape, True)
        if self.whole_words:
            before_V, after_V = (
                np.frombuffer(table, bool) for table in (self.goes_on_before, self.goes_on_after)
            )
            tokens_BT, scored_BT = batch.targets_BT, batch.weights_BT > 0
            goes_on_BT = after_V[tokens_BT[:, :-1]] & before_V[tokens_BT[:, 1:]]
            goes_on_BT &= scored_BT[:, :-1] & scored_BT[:, 1:]
            goes_on_BT &= np.diff(batch.segment_ids_BT, axis=1) == 0
            if batch.token_types_BT is not None:
                goes_on_BT &= np.diff(batch.token_types_BT, axis=1) == 0
            begins_BT[:, 1:] = ~goes_on_BT
        return begins_BT

    def passes(self, stream: TokenStream, batch: Batch, places_BT: np.ndarray) -> Iterator[Batch]:
        """Each with other targets hidden, which are those of each pass whatever the batch size."""
        scored_BT = batch.weights_BT > 0
        if self.evaluation == "pseudo_likelihood":
            pass_BT = np.broadcast_to(np.arange(places_BT.shape[1])[None, :], places_BT.shape)
        else:
            pass_N = passes_of_places(
                len(stream.tokens_N), self.evaluation_passes, self.evaluation_seed
            )
            pass_BT = pass_N[np.where(scored_BT, places_BT, 0)]
        for number in range(pass_BT.max() + 1):
            hidden_BT = scored_BT & (pass_BT == number)
            if hidden_BT.any():
                yield batch.replace(
                    tokens_BT=np.where(hidden_BT, np.int32(self.mask_id), batch.targets_BT),
                    weights_BT=hidden_BT.astype(np.float32),
                )

    def predict(
        self, model: LanguageModel, params: Any, batch: Batch, carry: Carry, **context: Any
    ) -> tuple[jax.Array, jax.Array, Carry]:
        """`log_probs_BT, is_right_BT, None`; NaN and False where nothing is hidden."""
        places_BP, logits_BPV, _ = self._read(model, params, batch, **context)
        targets_BP = jnp.take_along_axis(batch.targets_BT, places_BP, axis=1)
        log_probs_BP, is_right_BP = log_probs_and_right(logits_BPV, targets_BP)
        rows_B1 = jnp.arange(len(places_BP))[:, None]
        log_probs_BT = jnp.full(batch.targets_BT.shape, jnp.nan).at[rows_B1, places_BP]
        is_right_BT = jnp.full(batch.targets_BT.shape, False).at[rows_B1, places_BP]
        return log_probs_BT.set(log_probs_BP), is_right_BT.set(is_right_BP), None

    def __call__(
        self, model: LanguageModel, params: Any, batch: Batch, carry: Carry, **context: Any
    ) -> Outcome:
        """Nats of the hidden tokens; the extra `next_sentence` is a mean over the pairs."""
        places_BP, logits_BPV, next_logits_B2 = self._read(model, params, batch, **context)
        targets_BP = jnp.take_along_axis(batch.targets_BT, places_BP, axis=1)
        weights_BP = jnp.take_along_axis(batch.weights_BT, places_BP, axis=1)
        log_probs_BP, is_right_BP = log_probs_and_right(logits_BPV, targets_BP)
        counts = {
            "tokens": batch.weights_BT.sum(),
            "sequences": rows_with_targets(batch.weights_BT),
            "right": jnp.sum(is_right_BP * weights_BP),
        }
        extras = {}
        if self.next_sentence:
            # 0: the second text follows the first; 1: it is of elsewhere.
            elsewhere_B = jnp.asarray(~batch.is_next_B, jnp.int32)
            extras["next_sentence"] = -log_probs_and_right(next_logits_B2, elsewhere_B)[0].mean()
        return Outcome(-jnp.sum(log_probs_BP * weights_BP), counts, None, extras)

    def _read(self, model, params, batch: Batch, **context):
        """`places_BP, logits_BPV, next_logits_B2`: the hidden places of each row, and some others.

        So logits are formed of about the share of tokens that is hidden; the last is None unless
        it is needed.
        """
        _, places_BP = jax.lax.top_k(batch.weights_BT, self.most_hidden(batch.weights_BT.shape[1]))
        method = "read_pair" if self.next_sentence else "__call__"
        logits_BPV, next_logits_B2 = model.apply(
            params, batch.tokens_BT, places_BP=places_BP, **batch.inputs(), **context, method=method
        )
        return places_BP, logits_BPV, next_logits_B2

    def most_hidden(self, length: int) -> int:
        """Of a row of `length` tokens, in training and in evaluation."""
        of_a_pass = (length - 2) // self.evaluation_passes + 2  # blocks that the row has a part in
        return min(length, max(1, round(self.share * length), of_a_pass))


@lru_cache(maxsize=4)
def passes_of_places(targets: int, passes: int, seed: int) -> np.ndarray:
    """`pass_N`, which pass hides each target: of as many neighbours as there are passes, each one.

    A function of the seed alone, whatever the batch.
    """
    draws_NK = np.random.default_rng(seed).random((-(-targets // passes), passes))
    return draws_NK.argsort(axis=1).ravel()[:targets].astype(np.int32)
