"""Rows that a model reads and continues on its devices, and what it remembers of them."""

from collections.abc import Collection
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lmjax.errors import UserError
from lmjax.generation.sampling import Sampler
from lmjax.models.contract import Carry, LanguageModel, initial_carry

CHUNK = 128  # the most tokens of a row that are drawn without a look of the host
FIRST_ROOM = 128  # tokens that the first carry takes in, at least

# In place of a token: one that is still to be drawn, and one whose logits were not finite.
UNKNOWN, BROKEN = -1, -2
NO_END = -3  # what no token is


class Decoder:
    """Rows that advance together, each of which has read `used` tokens since it last forgot.

    Their carry has room for a power of two of tokens and for no more than the model's longest
    context, so that a token's cost grows with what is remembered and few programs are compiled.
    `first` tokens are to fit at the beginning. Raises UserError for a model without memory.
    """

    def __init__(
        self,
        model: LanguageModel,
        params: Any,
        rows: int,
        first: int,
        sampler: Sampler,
        seed: int,
        end_id: int | None,
        source: dict[str, jax.Array],
    ):
        self._model, self._params = model.for_decoding(params)
        self._sampler, self._key = sampler, jax.random.key(seed)
        self._end_id = NO_END if end_id is None else end_id
        self._source = source
        self._rows_N = np.arange(rows, dtype=np.int32)  # those that are still decoded
        self._most = model.longest_context
        self._capacity = self._bounded(power_of_two(max(FIRST_ROOM, first)))
        self._used = 0
        self._carry = _open(self._model, self._params, rows, self._capacity, source)

    @property
    def room(self) -> int:
        """How many tokens the carry can still take in."""
        return self._capacity - self._used

    def last_full(self, length: int) -> int:
        """The last time until `length` at which a text so long leaves no room; 0 if it never does.

        What comes before is not worth reading, as then the last half of the context is read anew.
        """
        if self._most is None or length < self._most:
            return 0
        return length - (length - self._most) % (self._most - self._most // 2)

    def make_room(self, tokens_BT: np.ndarray, unfinished: Collection[int]) -> None:
        """Doubles the room; at the longest context, reads the last half of it anew.

        Rows that are finished are left out, down to a power of two, so that a program is compiled
        for each halving at most, which for the new room is another one anyway.
        """
        kept_N = self._kept(unfinished)
        self._rows_N = self._rows_N[kept_N]
        before = self._capacity
        self._capacity = self._bounded(2 * before)
        if self._capacity > before:
            self._carry = _resize(
                self._model, self._params, self._carry, kept_N, self._capacity, self._source
            )
        self._source = {name: leaf[kept_N] for name, leaf in self._source.items()}
        if self._capacity == before:
            self._carry = _open(
                self._model, self._params, len(kept_N), self._capacity, self._source
            )
            self._used = 0
            if kept := before // 2:
                self.read(tokens_BT[:, -kept:])

    def read(self, tokens_BT: np.ndarray) -> None:
        """Takes in tokens of all rows, at once."""
        tokens_NT = tokens_BT[self._rows_N]
        self._carry = _read(self._model, self._params, tokens_NT, self._carry)
        self._used += tokens_NT.shape[1]

    def draw(
        self,
        tokens_BT: np.ndarray,
        ends_B: np.ndarray,
        time: int,
        most: int,
        unfinished: Collection[int],
    ) -> int:
        """Draws what is UNKNOWN after column `time`, for at most `most` columns; their number.

        They are fewer where all rows have ended: before column `ends_B`, or by a token.
        """
        chunk_NT = np.full((len(self._rows_N), CHUNK + 1), UNKNOWN, np.int32)
        chunk_NT[:, : most + 1] = tokens_BT[self._rows_N, time : time + most + 1]
        ended_N = ~np.isin(self._rows_N, list(unfinished))
        drawn_NT, self._carry, size = _draw(
            self._model,
            self._sampler,
            self._params,
            chunk_NT,
            self._carry,
            self._key,
            (self._rows_N, ended_N, ends_B[self._rows_N]),
            (time, most, self._end_id),
        )
        size = int(size)
        # On the host, as jax would compile a program for each size.
        tokens_BT[self._rows_N, time : time + size + 1] = np.asarray(drawn_NT)[:, : size + 1]
        self._used += size
        return size

    def _bounded(self, capacity: int) -> int:
        return capacity if self._most is None else min(capacity, self._most)

    def _kept(self, unfinished: Collection[int]) -> np.ndarray:
        """`kept_N`: the places of rows that are unfinished, and of others up to a power of two."""
        is_open_N = np.isin(self._rows_N, list(unfinished))
        number = min(len(is_open_N), power_of_two(int(is_open_N.sum())))
        return np.sort(np.argsort(~is_open_N, stable=True)[:number])


def power_of_two(number: int) -> int:
    """The smallest one that is at least `number`."""
    return 1 << max(number - 1, 0).bit_length()


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


@partial(jax.jit, static_argnames=("model", "rows", "capacity"))
def _open(model, params, rows, capacity, source) -> Carry:
    return opening_carry(model, params, rows, capacity, **source)


@partial(jax.jit, static_argnames=("model", "capacity"))
def _resize(model, params, carry, kept_N, capacity, source) -> Carry:
    """The carry of the kept rows, with room for `capacity` tokens."""
    rows = len(jax.tree.leaves(carry)[0])
    larger = opening_carry(model, params, rows, capacity, **source)

    def fill(leaf, larger):
        if leaf.shape != larger.shape:
            leaf = larger.at[tuple(map(slice, leaf.shape))].set(leaf)
        return leaf[kept_N]

    return jax.tree.map(fill, carry, larger)


@partial(jax.jit, static_argnames="model", donate_argnames="carry")
def _read(model: LanguageModel, params: Any, tokens_NT: jax.Array, carry: Carry) -> Carry:
    return model.apply(params, tokens_NT, carry)[1]


@partial(jax.jit, static_argnames=("model", "sampler"), donate_argnames=("tokens_NT", "carry"))
def _draw(
    model: LanguageModel,
    sampler: Sampler,
    params: Any,
    tokens_NT: jax.Array,
    carry: Carry,
    key: jax.Array,
    rows: tuple[jax.Array, jax.Array, jax.Array],
    until: tuple[jax.Array, jax.Array, jax.Array],
) -> tuple[jax.Array, Carry, jax.Array]:
    """`tokens_NT`, which begin at a time, with what is drawn; the carry; how many are known more.

    The carry is changed in place.
    """
    (rows_N, ended_N, ends_N), (time, most, end_id) = rows, until
    keys_N = jax.vmap(partial(jax.random.fold_in, key))(rows_N)

    def is_going_on(state):
        size, _, _, ended_N = state
        return (size < most) & ~ended_N.all()

    def step(state):
        size, tokens_NT, carry, ended_N = state
        token_N1 = jax.lax.dynamic_slice_in_dim(tokens_NT, size, 1, axis=1)
        logits_N1V, carry = model.apply(params, token_N1, carry)
        logits_NV = logits_N1V[:, 0]
        drawn_N = sampler(logits_NV, jax.vmap(jax.random.fold_in, (0, None))(keys_N, time + size))
        # Not finite if any is NaN or infinite, or all are minus infinity.
        drawn_N = jnp.where(jnp.isfinite(logits_NV.max(axis=-1)), drawn_N, BROKEN)
        size += 1
        given_N = jax.lax.dynamic_index_in_dim(tokens_NT, size, axis=1, keepdims=False)
        is_drawn_N = given_N == UNKNOWN
        token_N = jnp.where(is_drawn_N, drawn_N, given_N)
        tokens_NT = jax.lax.dynamic_update_slice_in_dim(tokens_NT, token_N[:, None], size, axis=1)
        ended_N |= is_drawn_N & ((token_N == end_id) | (token_N == BROKEN))
        ended_N |= time + size + 1 == ends_N
        return size, tokens_NT, carry, ended_N

    state = jnp.int32(0), tokens_NT, carry, ended_N
    size, tokens_NT, carry, _ = jax.lax.while_loop(is_going_on, step, state)
    return tokens_NT, carry, size
