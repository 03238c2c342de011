"""Continues prompts with any model, through its carry."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lmjax.errors import UserError
from lmjax.generation.sampling import Sampler
from lmjax.models.contract import Carry, LanguageModel, initial_carry

CHUNK = 32  # tokens between two looks of the host at what was drawn
MOST_TOKENS = 2**31 - 1 - 2 * CHUNK  # of a row with its prompt: its times are 32-bit integers

# In place of a token: one that is still to be drawn, and one whose logits were not finite.
UNKNOWN, BROKEN = -1, -2


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

    Raises UserError for a length below 0 or beyond MOST_TOKENS, for a model that continues nothing,
    and if the model's logits are not finite.
    """
    starts = [1 + len(prompt) for prompt in prompts]
    if not 0 <= length <= MOST_TOKENS - max(starts, default=0):
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
    longest = (max(starts) + length) // CHUNK * CHUNK + 2 * CHUNK

    unfinished = set(range(len(prompts)))
    key = jax.random.key(seed)
    for known, tokens_BT in _fill(
        model, params, given_BT, min(starts), longest, sampler, key, source
    ):
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
        if not unfinished:
            break
    return results


def _fill(
    model: LanguageModel,
    params: Any,
    tokens_BT: np.ndarray,
    shortest: int,
    longest: int,
    sampler: Sampler,
    key: jax.Array,
    source: dict[str, jax.Array],
) -> Iterator[tuple[int, np.ndarray]]:
    """Draws what is UNKNOWN in `tokens_BT` and beyond its end, for at most `longest` columns.

    Yields how many columns are known by now, and all columns. The first `shortest` columns are
    given in all rows: most of them are read without drawing.
    """
    rows = len(tokens_BT)
    capacity = min(longest, model.longest_context or longest)
    fresh = opening_carry(model, params, rows, capacity, **source)
    carry, time, used = fresh, 0, 0
    while True:
        if used == capacity:
            carry, used = fresh, capacity // 2
            if used:
                carry = _read(model, params, tokens_BT[:, time - used : time], carry)
        size = min(CHUNK, capacity - used)
        if tokens_BT.shape[1] < time + size + 1:  # doubled, so that copying takes linear time
            tokens_BT = np.pad(tokens_BT, ((0, 0), (0, time + size)), constant_values=UNKNOWN)
        chunk_BT = tokens_BT[:, time : time + size + 1]
        if time + size < shortest:
            carry = _read(model, params, chunk_BT[:, :-1], carry)
        else:
            chunk_BT[:, 1:], carry = _draw(model, sampler, params, chunk_BT, carry, key, time)
            yield time + size + 1, tokens_BT
        time += size
        used += size


def opening_carry(
    model: LanguageModel, params: Any, rows: int, max_length: int, **source: jax.Array
) -> Carry:
    """What rows remember before their first token; raises UserError for a model without memory."""
    carry = initial_carry(model, params, rows, max_length, **source)
    if carry is None:
        raise UserError(
            "this model remembers nothing of what it reads, so it can't continue a text; choose "
            "one that reads the past"
        )
    return carry


@partial(jax.jit, static_argnames="model")
def _read(model: LanguageModel, params: Any, tokens_BT: jax.Array, carry: Carry) -> Carry:
    return model.apply(params, tokens_BT, carry)[1]


@partial(jax.jit, static_argnames=("model", "sampler"))
def _draw(
    model: LanguageModel,
    sampler: Sampler,
    params: Any,
    tokens_BT: jax.Array,
    carry: Carry,
    key: jax.Array,
    time: jax.Array,
) -> tuple[jax.Array, Carry]:
    """`tokens_BT`, which begin at `time`, without the first and with none UNKNOWN; the carry."""
    row_keys_B = jax.vmap(partial(jax.random.fold_in, key))(jnp.arange(len(tokens_BT)))

    def step(state, following):
        token_B, carry = state
        given_B, time = following
        logits_B1V, carry = model.apply(params, token_B[:, None], carry)
        logits_BV = logits_B1V[:, 0]
        drawn_B = sampler(logits_BV, jax.vmap(jax.random.fold_in, (0, None))(row_keys_B, time))
        finite_B = jnp.isfinite(jax.nn.logsumexp(logits_BV, axis=-1))
        drawn_B = jnp.where(finite_B, drawn_B, BROKEN)
        token_B = jnp.where(given_B == UNKNOWN, drawn_B, given_B)
        return (token_B, carry), token_B

    times_T = time + jnp.arange(tokens_BT.shape[1] - 1)
    following = tokens_BT[:, 1:].T, times_T
    (_, carry), tokens_TB = jax.lax.scan(step, (tokens_BT[:, 0], carry), following)
    return tokens_TB.T, carry
