"""The continuous cache: targets of the past, by how alike the hidden states before them are."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from lmjax.data.batch import Batch
from lmjax.data.context import ContextPolicy
from lmjax.data.streams import TokenStream
from lmjax.evaluation.adaptation import best_weight, mixed
from lmjax.evaluation.scoring import ahead, check_finite, scored_batches
from lmjax.models.contract import Carry, LanguageModel, restart_rows
from lmjax.objectives.contract import Objective

LENGTHS = (100, 500, 2000)  # of a cache, in targets, that are tried
FLATNESSES = (0.003, 0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 1.0)  # theta, likewise
CHUNK = 128  # targets whose scores are held at a time


@dataclass(frozen=True)
class NeuralCache:
    """A cache beside a model (Grave, Joulin and Usunier 2017b, section 3).

    p = (1 - weight) p_model + weight p_cache, where p_cache of a token is the sum over those i of
    the last `length` targets that are it of exp(flatness h_t . h_i), divided by that over all of
    them; h_t is the hidden state that target t is predicted from. The first target has the model's
    probability.
    """

    weight: float  # lambda
    length: int  # N, targets
    flatness: float  # theta

    @property
    def name(self) -> str:
        """What a context's name says of it."""
        return f"neural_cache_{self.length}"

    def adapt(
        self, log_probs_N: np.ndarray, tokens_N: np.ndarray, hidden_ND: np.ndarray
    ) -> np.ndarray:
        """`log_probs_N` of the targets of a text, from those and the states that a model gave."""
        (cached_N,) = neural_cached_probs(
            hidden_ND, tokens_N, [self.flatness], [self.length]
        ).values()
        return mixed(log_probs_N, cached_N, self.weight)


def neural_cached_probs(
    hidden_ND: np.ndarray,
    tokens_N: np.ndarray,
    flatnesses: Sequence[float],
    lengths: Sequence[int],
) -> dict[tuple[float, int], np.ndarray]:
    """`probs_N` of the targets in caches of each flatness and length; NaN of the first target."""
    count, longest = len(tokens_N), min(max(lengths), len(tokens_N))
    padding = longest, -count % CHUNK
    padded_ND = jnp.asarray(np.pad(np.asarray(hidden_ND, np.float32), (padding, (0, 0))))
    padded_N = jnp.asarray(np.pad(np.asarray(tokens_N, np.int32), padding))
    starts = range(0, count, CHUNK)
    grid = tuple(flatnesses), tuple(lengths)
    parts = [np.asarray(_of_chunk(padded_ND, padded_N, s, longest, *grid)) for s in starts]
    found = np.concatenate(parts, axis=2)[..., :count].astype(np.float64)
    found[..., 0] = np.nan
    return {
        (flatness, length): found[i, j]
        for i, flatness in enumerate(flatnesses)
        for j, length in enumerate(lengths)
    }


@partial(jax.jit, static_argnames=("longest", "flatnesses", "lengths"))
def _of_chunk(padded_ND, padded_N, start, longest, flatnesses, lengths) -> jax.Array:
    """The probabilities of the targets from `start` on, by flatness and length.

    A target at i stands at i + longest of the padded arrays, so that a chunk and all that its
    targets may look back at are one slice.
    """
    hidden_SD = lax.dynamic_slice_in_dim(padded_ND, start, longest + CHUNK)
    tokens_S = lax.dynamic_slice_in_dim(padded_N, start, longest + CHUNK)
    scores_TS = hidden_SD[longest:] @ hidden_SD.T
    is_same_TS = tokens_S[longest:, None] == tokens_S[None, :]
    before_TS = longest + jnp.arange(CHUNK)[:, None] - jnp.arange(longest + CHUNK)[None, :]
    exists_TS = (before_TS > 0) & (start - longest + jnp.arange(longest + CHUNK) >= 0)[None, :]

    def probs_T(flatness, length):
        scaled_TS = jnp.where(exists_TS & (before_TS <= length), flatness * scores_TS, -jnp.inf)
        largest_T1 = scaled_TS.max(axis=1, keepdims=True)
        weights_TS = jnp.exp(scaled_TS - largest_T1)
        return (weights_TS * is_same_TS).sum(axis=1) / weights_TS.sum(axis=1)

    return jnp.stack([jnp.stack([probs_T(f, length) for length in lengths]) for f in flatnesses])


def tune_neural_cache(
    log_probs_N: np.ndarray, tokens_N: np.ndarray, hidden_ND: np.ndarray
) -> tuple[NeuralCache, list[dict]]:
    """The cache that gives a validation text the fewest nats, and what was tried.

    Of each of FLATNESSES and LENGTHS the best weight is found.
    """
    cached = neural_cached_probs(hidden_ND, tokens_N, FLATNESSES, LENGTHS)
    tried = [
        {"length": length, "flatness": flatness, **best_weight(log_probs_N, cached_N)}
        for (flatness, length), cached_N in cached.items()
    ]
    best = min(tried, key=lambda trial: trial["total_nats"])
    return NeuralCache(best["weight"], best["length"], best["flatness"]), tried


def target_states(
    model: LanguageModel,
    params: Any,
    stream: TokenStream,
    policy: ContextPolicy,
    batch_size: int,
    objective: Objective,
) -> tuple[np.ndarray, np.ndarray]:
    """`log_probs_N` of the targets of a text, in its order, and `hidden_ND` that they rest on.

    Raises UserError for a model that shows no such states, and as `score_stream`.
    """
    log_probs_N, hidden_ND = np.full(stream.counts.tokens, np.nan), None
    scored = model, params, stream, policy, batch_size, objective
    for batch, places_BT, log_probs_BT, hidden_BTD in ahead(
        scored_batches(*scored, predict=_batch_states)
    ):
        is_scored_BT = batch.weights_BT > 0
        places_N = places_BT[is_scored_BT]
        found_N = np.asarray(log_probs_BT, np.float64)[is_scored_BT]
        check_finite(found_N, places_N, stream)
        if hidden_ND is None:
            hidden_ND = np.zeros((len(log_probs_N), hidden_BTD.shape[-1]), np.float32)
        log_probs_N[places_N] = found_N
        hidden_ND[places_N] = np.asarray(hidden_BTD, np.float32)[is_scored_BT]
    return log_probs_N, hidden_ND


@partial(jax.jit, static_argnames=("model", "objective", "last"))
def _batch_states(
    model: LanguageModel,
    params: Any,
    batch: Batch,
    carry: Carry,
    fresh: Carry,
    objective: Objective,
    dropout_key: None,
    last: int | None,
) -> tuple[jax.Array, jax.Array, Carry]:
    carry = restart_rows(carry, fresh, batch.continues_B)
    hidden_BTD, carry = model.apply(
        params, batch.tokens_BT, carry, method="hidden_states", **batch.inputs()
    )
    log_probs_BT = model.apply(params, hidden_BTD, batch.targets_BT, method="output_log_probs")
    return log_probs_BT, hidden_BTD, carry
