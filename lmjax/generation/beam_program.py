"""The steps of a beam search, as one compiled program."""

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lmjax.errors import UserError
from lmjax.generation.decoding import UNKNOWN, opening_carry
from lmjax.models.contract import Carry, LanguageModel

NORMALIZATIONS = ("wu", "division")


@dataclass(frozen=True)
class Beam:
    """What is searched for; raises UserError for values out of range.

    Lengths are counted in tokens of the hypothesis, with its `<eos>` and without its prompt. Scores
    are log-probabilities divided by a penalty of the length y: by `wu` ((5 + y) / 6) ** a (Wu et
    al. 2016, equation 14), by `division` y ** a, where a is `length_penalty`.
    """

    width: int = 5  # hypotheses kept open; 1: greedy
    n_best: int = 1  # hypotheses returned, at most as many as the width
    normalization: str = "wu"  # wu | division
    length_penalty: float = 0.6  # above 0 favours long hypotheses; 0: none
    min_length: int = 0  # tokens
    no_repeat_ngram: int = 0  # no n-gram of this size comes twice in a hypothesis; 0: any may

    def __post_init__(self):
        for name, least in dict(width=1, n_best=1, min_length=0, no_repeat_ngram=0).items():
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise UserError(f"{name} of the beam search is {value}; give {least} or more")
        if self.n_best > self.width:
            raise UserError(
                f"{self.n_best} hypotheses can't come of a beam of width {self.width}; widen it"
            )
        if self.normalization not in NORMALIZATIONS:
            raise UserError(
                f"unknown normalization {self.normalization!r}; give one of "
                f"{', '.join(NORMALIZATIONS)}"
            )
        if not abs(self.length_penalty) <= 10:
            raise UserError(f"length_penalty is {self.length_penalty}; give one from -10 to 10")

    def __str__(self):
        """Such as `beam 5, length penalty wu 0.6`."""
        parts = ["greedy" if self.width == 1 else f"beam {self.width}"]
        if self.width > 1 and self.length_penalty:
            parts.append(f"length penalty {self.normalization} {self.length_penalty:g}")
        if self.min_length:
            parts.append(f"at least {self.min_length} tokens")
        if self.no_repeat_ngram:
            parts.append(f"no {self.no_repeat_ngram}-gram twice")
        return ", ".join(parts)

    def penalties(self, longest: int) -> np.ndarray:
        """`penalties_L` of the lengths 0 to `longest` in float32: monotone, the first one 1."""
        lengths_L = np.maximum(np.arange(longest + 1, dtype=np.float64), 1)
        base_L = (5 + lengths_L) / 6 if self.normalization == "wu" else lengths_L
        return (base_L**self.length_penalty).astype(np.float32)


class Finished(NamedTuple):
    """The best finished hypotheses, best first; a score of -inf where there is none yet."""

    tokens_BNT: jax.Array
    scores_BN: jax.Array
    totals_BN: jax.Array
    lengths_BN: jax.Array
    ended_BN: jax.Array


class State(NamedTuple):
    """The search when the tokens up to `time` are known."""

    time: jax.Array
    tokens_BKT: jax.Array  # of the open hypotheses, best first
    totals_BK: jax.Array  # their log-probabilities; -inf where there is none
    carry: Carry  # of B times K rows
    finished: Finished
    broken_B: jax.Array


@partial(jax.jit, static_argnames=("model", "beam", "end_id", "read"))
def search(
    model: LanguageModel,
    beam: Beam,
    end_id: int | None,
    read: int,
    params: Any,
    given_BT: jax.Array,
    starts_B: jax.Array,
    longest_B: jax.Array,
    source: dict[str, jax.Array],
) -> tuple[Finished, jax.Array]:
    """What is finished when no row can find better, and which rows met logits without a value.

    The first `read` tokens, which are prompt in all rows, are read before there are beams.
    """
    rows, columns = given_BT.shape
    penalties_L = jnp.asarray(beam.penalties(columns))
    carry = opening_carry(model, params, rows, columns - 1, **source)
    if read:
        carry = model.apply(params, given_BT[:, :read], carry)[1]
    nothing_BN = jnp.full((rows, beam.n_best), -jnp.inf)
    zeros_BN = jnp.zeros((rows, beam.n_best), jnp.int32)
    finished = Finished(
        jnp.zeros((rows, beam.n_best, columns), jnp.int32),
        nothing_BN,
        nothing_BN,
        zeros_BN,
        zeros_BN.astype(bool),
    )
    state = State(
        jnp.int32(read),
        jnp.repeat(jnp.maximum(given_BT, 0)[:, None], beam.width, axis=1),
        jnp.full((rows, beam.width), -jnp.inf).at[:, 0].set(0.0),
        jax.tree.map(partial(jnp.repeat, repeats=beam.width, axis=0), carry),
        finished,
        jnp.zeros(rows, bool),
    )

    def step(state: State) -> State:
        tokens_N1 = state.tokens_BKT[:, :, state.time].reshape(-1, 1)
        logits_N1V, carry = model.apply(params, tokens_N1, state.carry)
        log_probs_NV = jax.nn.log_softmax(logits_N1V[:, 0].astype(jnp.float32))
        log_probs_BKV = log_probs_NV.reshape(rows, beam.width, -1)
        is_open_BK = jnp.isfinite(state.totals_BK)
        broken_BK = is_open_BK & jnp.isnan(log_probs_BKV).any(axis=-1)
        lengths_B = state.time + 2 - starts_B  # of hypotheses with their next token
        forced_B = given_BT[:, state.time + 1]
        log_probs_BKV = jnp.where(
            _allowed(beam, end_id, state, lengths_B, forced_B, starts_B, log_probs_BKV.shape[-1]),
            jnp.where(lengths_B[:, None, None] <= 0, 0.0, log_probs_BKV),  # prompts cost nothing
            -jnp.inf,
        )
        sums_BKV = state.totals_BK[..., None] + log_probs_BKV
        sums_BKV = jnp.where(jnp.isnan(sums_BKV), -jnp.inf, sums_BKV)
        candidates = _candidates(beam, state.tokens_BKT, sums_BKV, state.time)
        totals_BC, parents_BC, tokens_BCT = candidates

        ended_BC = tokens_BCT[:, :, state.time + 1] == (UNKNOWN if end_id is None else end_id)
        ended_BC &= (forced_B == UNKNOWN)[:, None]  # in a prompt it is a token like others
        closed_BC = ended_BC | (lengths_B == longest_B)[:, None]
        is_first_C = jnp.arange(totals_BC.shape[1]) < beam.width
        penalties_B = penalties_L[jnp.maximum(lengths_B, 0)]
        new = Finished(
            tokens_BCT,
            jnp.where(closed_BC & is_first_C[None], totals_BC / penalties_B[:, None], -jnp.inf),
            totals_BC,
            jnp.broadcast_to(lengths_B[:, None], totals_BC.shape),
            ended_BC,
        )
        both = jax.tree.map(lambda *leaves: jnp.concatenate(leaves, axis=1), state.finished, new)
        finished = _take(both, jax.lax.top_k(both.scores_BN, beam.n_best)[1])

        totals_BC = jnp.where(closed_BC, -jnp.inf, totals_BC)
        totals_BK, order_BK = jax.lax.top_k(totals_BC, beam.width)
        parents_BK, tokens_BKT = _take((parents_BC, tokens_BCT), order_BK)
        parents_N = (parents_BK + beam.width * jnp.arange(rows)[:, None]).reshape(-1)
        # No open hypothesis can score above its bound. Further tokens have log-probabilities of at
        # most 0, so its total t <= 0 only falls; it will be divided by the penalty of a length from
        # the next one to the row's greatest, and a negative number is largest when divided by the
        # largest penalty, which, penalties being monotone, is one at either end. Rounding is
        # monotone too. One that only equals the worst finished one comes after it.
        ends_B = jnp.stack([penalties_L[jnp.maximum(lengths_B + 1, 0)], penalties_L[longest_B]])
        bounds_BK = totals_BK / ends_B.max(axis=0)[:, None]
        can_win_B = (bounds_BK > finished.scores_BN[:, -1:]).any(axis=1)
        return State(
            state.time + 1,
            tokens_BKT,
            jnp.where(can_win_B[:, None], totals_BK, -jnp.inf),
            jax.tree.map(lambda leaf: leaf[parents_N], carry),
            finished,
            state.broken_B | broken_BK.any(axis=1),
        )

    state = jax.lax.while_loop(lambda state: jnp.isfinite(state.totals_BK).any(), step, state)
    return state.finished, state.broken_B


def _allowed(
    beam: Beam,
    end_id: int | None,
    state: State,
    lengths_B: jax.Array,
    forced_B: jax.Array,
    starts_B: jax.Array,
    vocabulary_size: int,
) -> jax.Array:
    """`allowed_BKV`: which tokens may come next; one that is forced overrides all else."""
    ids_V = jnp.arange(vocabulary_size)
    allowed_BKV = jnp.ones((*state.totals_BK.shape, vocabulary_size), bool)
    if end_id is not None and beam.min_length:
        too_short_B = lengths_B < beam.min_length
        allowed_BKV &= ~(too_short_B[:, None] & (ids_V == end_id)[None])[:, None]
    if 0 < beam.no_repeat_ngram <= state.tokens_BKT.shape[-1]:
        allowed_BKV &= ~_repeats(beam.no_repeat_ngram, state, starts_B, vocabulary_size)
    is_forced_B = forced_B != UNKNOWN
    forced_BV = forced_B[:, None] == ids_V[None]
    return jnp.where(is_forced_B[:, None, None], forced_BV[:, None], allowed_BKV)


def _repeats(size: int, state: State, starts_B: jax.Array, vocabulary_size: int) -> jax.Array:
    """`repeats_BKV`: which tokens would complete an n-gram that the hypothesis has already."""
    tokens_BKT, time = state.tokens_BKT, state.time
    begins_T = jnp.arange(tokens_BKT.shape[-1] - size + 1)
    inside_BT = (begins_T[None] >= starts_B[:, None]) & (begins_T[None] + size - 1 <= time)
    same_BKT = jnp.repeat(inside_BT[:, None], tokens_BKT.shape[1], axis=1)
    for place in range(size - 1):
        newest_BK = tokens_BKT[:, :, time - size + 2 + place]
        same_BKT &= tokens_BKT[:, :, begins_T + place] == newest_BK[..., None]
    rows_B, beams_K = jnp.ogrid[: tokens_BKT.shape[0], : tokens_BKT.shape[1]]
    last_BKT = tokens_BKT[:, :, begins_T + size - 1]
    repeats_BKV = jnp.zeros((*tokens_BKT.shape[:2], vocabulary_size), bool)
    return repeats_BKV.at[rows_B[..., None], beams_K[..., None], last_BKT].max(same_BKT)


def _candidates(
    beam: Beam, tokens_BKT: jax.Array, sums_BKV: jax.Array, time: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The best continuations by one token: `totals_BC, parents_BC, tokens_BCT`, best first.

    Of twice the width at most half can end, so that the beam can be filled again.
    """
    rows, width, vocabulary_size = sums_BKV.shape
    count = min(2 * width, width * vocabulary_size) if width > 1 else 1
    totals_BC, places_BC = jax.lax.top_k(sums_BKV.reshape(rows, -1), count)
    parents_BC, newest_BC = jnp.divmod(places_BC, vocabulary_size)
    tokens_BCT = _take(tokens_BKT, parents_BC).at[:, :, time + 1].set(newest_BC)
    return totals_BC, parents_BC, tokens_BCT


def _take(tree: Any, order_BK: jax.Array) -> Any:
    """Each row's entries in that order, of all leaves."""
    rows_B1 = jnp.arange(order_BK.shape[0])[:, None]
    return jax.tree.map(lambda leaf: leaf[rows_B1, order_BK], tree)
