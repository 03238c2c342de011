"""What skip-gram and CBOW share: which words are pairs, and which are drawn as noise."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lmjax.data.batch import Batch, Draw
from lmjax.data.batching import Batching
from lmjax.data.context import ContextPolicy
from lmjax.data.evaluation_batches import evaluation_batches
from lmjax.data.noise import UnigramNoise, kept_probabilities
from lmjax.data.streams import TokenStream
from lmjax.data.training_batches import PreparedBatches, make_batching
from lmjax.errors import UserError
from lmjax.models.contract import Carry, LanguageModel
from lmjax.objectives.contract import Objective, Outcome, rows_with_targets

NO_WORD = -1  # the segment of what stands at the end of a row where words were left out
EVALUATION_NOISE = 1024  # words drawn for an evaluation, which all of its rows share


@dataclass(frozen=True)
class NegativeSampling(Objective):
    """Words that stand near each other are told from words drawn as noise.

    Mikolov et al. 2013, "Distributed representations of words and phrases and their
    compositionality", equation 4. The words near a word are those at most r away in the same row
    and document, r being drawn for each word from 1 to `window`. Frequent words are first left out
    at random. In place of `negatives` noise words for each pair, all pairs of a row share
    `noise_words` of them, each of the weight `negatives / noise_words`: the same in the mean, with
    less variance, and as a product of matrices.

    In its batches `targets_BT` are the words, `weights_BT` how far each looks (0: not at all),
    `segment_ids_BT` their documents and `source_BS` the noise. In evaluation all words are kept,
    each looks `window` words far, and all rows have the same noise.
    """

    serves = ("words",)
    scores_text = False
    defining = ("window", "negatives", "noise_power")  # what the nats of a score depend on

    window: int  # words to each side, at most
    negatives: int  # noise words for each pair
    noise_words: int  # drawn for each row
    noise_power: float  # of a word's count, to which its probability as noise is proportional
    subsampling: float  # share of the text above which a word is left out at random; 0: none is

    def __post_init__(self):
        for name in ("window", "negatives", "noise_words"):
            if getattr(self, name) < 1:
                raise UserError(f"objective.{name} is {getattr(self, name)}; give at least 1")

    def example_batch(self, data) -> Batch:
        batch = super().example_batch(data)
        return batch.replace(
            segment_ids_BT=np.zeros_like(batch.tokens_BT),
            source_BS=np.zeros((1, self.noise_words), np.int32),
        )

    def batching(self, stream: TokenStream, data, seed: int) -> Batching:
        counts_V = np.bincount(stream.tokens_N)
        prepare = partial(
            self._with_noise,
            kept_V=kept_probabilities(counts_V, self.subsampling),
            noise=UnigramNoise(counts_V, self.noise_power),
        )
        return PreparedBatches(make_batching(stream, data, seed), seed, prepare)

    def _with_noise(
        self,
        batch: Batch,
        generator: np.random.Generator,
        kept_V: np.ndarray,
        noise: UnigramNoise,
    ) -> Batch:
        words_BT = batch.targets_BT
        kept_BT = (generator.random(words_BT.shape) < kept_V[words_BT]) & (batch.weights_BT > 0)
        order_BT = np.argsort(~kept_BT, axis=1, kind="stable")  # those kept come first
        exists_BT = np.take_along_axis(kept_BT, order_BT, axis=1)
        segment_ids_BT = _segments(batch, exists=kept_BT)
        reach_BT = generator.integers(1, self.window + 1, words_BT.shape)
        noise_BS = noise.draw(len(words_BT) * self.noise_words, generator)
        return batch.replace(
            targets_BT=np.take_along_axis(words_BT, order_BT, axis=1),
            weights_BT=np.where(exists_BT, reach_BT, 0).astype(np.float32),
            segment_ids_BT=np.take_along_axis(segment_ids_BT, order_BT, axis=1),
            source_BS=noise_BS.reshape(len(words_BT), self.noise_words),
        )

    def evaluation_batches(
        self, stream: TokenStream, policy: ContextPolicy, batch_size: int
    ) -> Iterator[tuple[Batch, np.ndarray]]:
        noise = UnigramNoise(np.bincount(stream.tokens_N), self.noise_power)
        noise_S = noise.draw(EVALUATION_NOISE, np.random.default_rng((0, Draw.OBJECTIVE)))
        for batch, places_BT in evaluation_batches(stream, policy, batch_size):
            # Of whole documents, what is not scored is padding; of others also words read before.
            exists_BT = batch.weights_BT > 0
            if policy.kind != "documents":
                exists_BT = places_BT < len(stream.tokens_N)
            yield (
                batch.replace(
                    targets_BT=stream.tokens_N[np.minimum(places_BT, len(stream.tokens_N) - 1)],
                    weights_BT=np.where(batch.weights_BT > 0, np.float32(self.window), 0),
                    segment_ids_BT=_segments(batch, exists=exists_BT),
                    source_BS=np.tile(noise_S, (len(places_BT), 1)),
                ),
                places_BT,
            )

    def near(self, batch: Batch) -> jax.Array:
        """`near_BTS`: whether the S-th word of a row is among those that the T-th looks at."""
        columns_T = jnp.arange(batch.targets_BT.shape[1])
        distance_BTS = jnp.abs(columns_T[:, None] - columns_T[None, :])[None]
        segment_ids_BT = batch.segment_ids_BT
        together_BTS = segment_ids_BT[:, :, None] == segment_ids_BT[:, None, :]
        in_reach_BTS = distance_BTS <= batch.weights_BT[:, :, None]
        return (distance_BTS > 0) & in_reach_BTS & together_BTS

    def noise_log_probs(
        self, model: LanguageModel, params: Any, batch: Batch, read_BTD: jax.Array
    ) -> jax.Array:
        """`log_probs_BT` of telling `negatives` noise words, by what is read, from true ones."""
        noise_BSD = model.apply(params, batch.source_BS, method="output_vectors")
        scores_BTS = jnp.einsum("btd,bsd->bts", read_BTD, noise_BSD)
        share = self.negatives / batch.source_BS.shape[1]
        return share * jax.nn.log_sigmoid(-scores_BTS).sum(axis=-1)

    def sums(self, model: LanguageModel, params: Any, batch: Batch) -> tuple[jax.Array, jax.Array]:
        """`log_probs_BT` summed over what is predicted at each word, and `counts_BT` of that."""
        raise NotImplementedError

    def log_probs(
        self, model: LanguageModel, params: Any, batch: Batch, carry: Carry, **context: Any
    ) -> tuple[jax.Array, Carry]:
        """`log_probs_BT, carry`: at each word the mean over what is predicted; 0 if nothing is."""
        log_probs_BT, counts_BT = self.sums(model, params, batch)
        return log_probs_BT / jnp.maximum(counts_BT, 1), carry

    def __call__(
        self, model: LanguageModel, params: Any, batch: Batch, carry: Carry, **context: Any
    ) -> Outcome:
        log_probs_BT, counts_BT = self.sums(model, params, batch)
        counts = {
            "tokens": counts_BT.sum().astype(jnp.float32),
            "sequences": rows_with_targets(counts_BT),
        }
        return Outcome(-log_probs_BT.sum(), counts, carry, extras={})


def _segments(batch: Batch, exists: np.ndarray) -> np.ndarray:
    """The documents of the words, and NO_WORD where there is none."""
    return np.where(exists, 0 if batch.segment_ids_BT is None else batch.segment_ids_BT, NO_WORD)
