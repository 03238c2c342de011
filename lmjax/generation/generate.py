"""Continues prompts with any model, through its carry."""

from collections.abc import Callable, Iterator, Sequence
from numbers import Integral
from typing import Any

import jax
import numpy as np

from lmjax.errors import UserError
from lmjax.generation.decoding import BROKEN, CHUNK, UNKNOWN, Decoder, power_of_two
from lmjax.generation.sampling import Sampler
from lmjax.models.contract import LanguageModel
from lmjax.runs.ranges import MOST_SEED

STREAMED = 16  # tokens between two looks of the host at what was drawn, where it is waited for
LEAST_READ, MOST_READ = 8, 256  # tokens that all prompts have and that are read at once
MOST_TOKENS = 2**31 - 1 - 2 * CHUNK  # of a row with its prompt: its times are 32-bit integers


def generate(
    model: LanguageModel,
    params: Any,
    prompts: Sequence[Sequence[int]],
    *,
    length: int,
    sampler: Sampler,
    seed: int,
    start_id: int,
    end_id: int | None = None,
    on_tokens: Callable[[list[list[int]]], None] | None = None,
    **source: jax.Array,
) -> list[list[int]]:
    """At most `length` tokens after each prompt; a row stops before its first `end_id`.

    All rows begin with `start_id` and advance together, each reading its prompt while it lasts. So
    what a row draws depends on its prompt, its index and the seed, but (up to rounding) not on its
    neighbours. `on_tokens` is given the newest tokens of each row every few steps. A model that has
    filled its longest context goes on from the last half of it, read anew. Memory grows with what
    is drawn, not with `length`. `source` is what a conditional model is given for these rows:
    `source_BS`, `source_weights_BS`.

    Raises UserError for a length that is no whole number from 0 to MOST_TOKENS, for a seed that is
    none to MOST_SEED, for a model that continues nothing, and if its logits are not finite.
    """
    check_seed(seed)
    starts = [1 + len(prompt) for prompt in prompts]
    most = MOST_TOKENS - max(starts, default=0)
    if not (isinstance(length, Integral) and 0 <= length <= most):
        raise UserError(
            f"the length to generate is {length:,}; give a number of tokens from 0 to "
            f"{MOST_TOKENS:,}, less those of the prompt"
        )
    results: list[list[int]] = [[] for _ in prompts]
    if not results or not length:
        return results
    given_BT = np.full((len(prompts), max(starts) + CHUNK), UNKNOWN, np.int32)
    for row, prompt in enumerate(prompts):
        given_BT[row, : starts[row]] = [start_id, *prompt]
    ends_B = np.array(starts, np.int32) + length
    unfinished = set(range(len(prompts)))
    at_once = STREAMED if on_tokens else CHUNK
    decoder = Decoder(model, params, len(prompts), min(starts), sampler, seed, end_id, source)
    for known, tokens_BT in _fill(decoder, given_BT, min(starts), ends_B, at_once, unfinished):
        newest: list[list[int]] = [[] for _ in prompts]
        for row in sorted(unfinished):
            begin, end = starts[row] + len(results[row]), min(known, starts[row] + length)
            new = tokens_BT[row, begin:end].tolist()
            if end_id in new:
                new = new[: new.index(end_id)]
                unfinished.remove(row)
            if BROKEN in new:
                raise UserError(
                    f"the model's logits are not finite at token {begin + new.index(BROKEN)} of "
                    f"row {row}: its parameters are broken; go back to an earlier checkpoint"
                )
            results[row] += new
            newest[row] = new
            if len(results[row]) == length:
                unfinished.remove(row)
        if on_tokens and any(newest):
            on_tokens(newest)
    return results


def check_seed(seed: int) -> None:
    """Raises UserError for a seed that is no whole number from 0 to MOST_SEED."""
    if not (isinstance(seed, Integral) and 0 <= seed <= MOST_SEED):
        raise UserError(f"the seed is {seed}; it is a whole number from 0 to {MOST_SEED}")


def _fill(
    decoder: Decoder,
    tokens_BT: np.ndarray,
    shortest: int,
    ends_B: np.ndarray,
    at_once: int,
    unfinished: set[int],
) -> Iterator[tuple[int, np.ndarray]]:
    """Draws what is UNKNOWN in `tokens_BT` and beyond its end, until none are `unfinished`.

    Yields how many columns are known by now, and all columns, of which each time at most `at_once`
    are new; whoever reads them says what is unfinished. The first `shortest` columns are given in
    all rows: most of them are read without drawing, and only those that will be remembered.
    """
    if time := decoder.last_full(shortest - 1):
        decoder.make_room(tokens_BT[:, :time], unfinished)
    while unfinished:
        if not decoder.room:
            decoder.make_room(tokens_BT[:, :time], unfinished)
        size = min(shortest - 1 - time, decoder.room, MOST_READ)
        if size >= LEAST_READ:
            size = power_of_two(size // 2 + 1)  # the largest one that is not above it
            decoder.read(tokens_BT[:, time : time + size])
            time += size
            continue
        size = min(at_once, decoder.room)
        if tokens_BT.shape[1] < time + size + 1:  # doubled, so that copying takes linear time
            tokens_BT = np.pad(tokens_BT, ((0, 0), (0, time + size)), constant_values=UNKNOWN)
        time += decoder.draw(tokens_BT, ends_B, time, size, unfinished)
        yield time + 1, tokens_BT
