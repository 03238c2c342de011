"""Beam search with any model, through its carry: the best continuations that a beam finds."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from lmjax.errors import UserError
from lmjax.generation.beam_program import Beam, Finished, search
from lmjax.generation.decoding import UNKNOWN
from lmjax.models.contract import LanguageModel

COLUMNS, READ = 16, 8  # lengths are rounded to multiples, so that few programs are compiled


class Hypothesis(NamedTuple):
    """A continuation that was found."""

    tokens: list[int]  # without its prompt and `<eos>`
    log_prob: float  # in nats, of all tokens and `<eos>`
    score: float  # log_prob divided by the penalty of the length: higher is better
    ended: bool  # by `<eos>`; False: cut at the greatest length


def beam_search(
    model: LanguageModel,
    params: Any,
    prompts: Sequence[Sequence[int]],
    beam: Beam,
    *,
    lengths: Sequence[int],
    end_id: int | None,
    prefixes: Sequence[Sequence[int]] | None = None,
    **source: jax.Array,
) -> list[list[Hypothesis]]:
    """The `n_best` hypotheses of each row, best first; fewer where there are no more.

    A prompt is all that a row reads before, beginning with a start token. A hypothesis begins with
    the row's prefix, which is scored with it, and has at most the row's length. `source` is what a
    conditional model is given: `source_BS`, `source_weights_BS`. What a row finds does not depend
    (up to rounding) on its neighbours.

    Each step extends the open hypotheses by every token and takes the best 2 `width` of all: those
    among the first `width` that end are finished, and the best others stay open (with a width of 1
    the best one is all there is: greedy search). It ends when no open hypothesis can still come
    among the finished `n_best`: what is returned is as if all had been searched to their greatest
    lengths.

    Raises UserError for lengths that don't fit the prefix, the minimum or the model's longest
    context, for a row of which no hypothesis is possible, and if logits are not finite.
    """
    if not prompts:
        return []
    prefixes = prefixes or [[]] * len(prompts)
    starts = [len(prompt) for prompt in prompts]
    _check(model, beam, starts, lengths, prefixes, end_id)
    needed = max(start + length for start, length in zip(starts, lengths, strict=True))
    columns = -(-needed // COLUMNS) * COLUMNS
    if model.longest_context is not None:
        columns = min(columns, model.longest_context + 1)
    given_BT = np.full((len(prompts), columns), UNKNOWN, np.int32)
    for row, (prompt, prefix) in enumerate(zip(prompts, prefixes, strict=True)):
        given = [*prompt, *prefix]
        given_BT[row, : len(given)] = given
    found, broken_B = jax.device_get(
        search(
            model,
            beam,
            end_id,
            (min(starts) - 1) // READ * READ,
            params,
            given_BT,
            np.array(starts, np.int32),
            np.array(lengths, np.int32),
            source,
        )
    )
    if broken_B.any():
        raise UserError(
            f"the model's logits are not finite in row {broken_B.argmax()}: its parameters are "
            "broken; go back to an earlier checkpoint"
        )
    return [_hypotheses(row, found, starts[row]) for row in range(len(prompts))]


def _check(model, beam, starts, lengths, prefixes, end_id):
    for row, (start, length, prefix) in enumerate(zip(starts, lengths, prefixes, strict=True)):
        least = max(beam.min_length, len(prefix), 1)
        if length < least:
            raise UserError(
                f"hypotheses of row {row} may have {length} tokens, but have at least {least} by "
                "the minimum length or the prefix; raise the greatest length"
            )
        longest = model.longest_context
        if longest is not None and start - 1 + length > longest:
            raise UserError(
                f"row {row} reads {start - 1 + length} tokens, with its prompt, and the model's "
                f"longest context is {longest}; shorten them"
            )
        if end_id in prefix:
            raise UserError(f"the prefix of row {row} has <eos> in it; nothing could follow")


def _hypotheses(row: int, found: Finished, start: int) -> list[Hypothesis]:
    hypotheses = []
    for place in np.flatnonzero(np.isfinite(found.scores_BN[row])):
        ended = bool(found.ended_BN[row, place])
        end = start + int(found.lengths_BN[row, place]) - ended
        hypotheses.append(
            Hypothesis(
                found.tokens_BNT[row, place, start:end].tolist(),
                float(found.totals_BN[row, place]),
                float(found.scores_BN[row, place]),
                ended,
            )
        )
    if not hypotheses:
        raise UserError(
            f"no hypothesis of row {row} is possible: by no_repeat_ngram, the minimum length or a "
            "prefix of probability 0; loosen them"
        )
    return hypotheses
