"""Whether a model that reads token by token gives the logits of the whole row; what it keeps."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any

import flax.linen as nn
import jax
import numpy as np
from jax import lax
from ml_collections import ConfigDict

from lmjax.errors import UserError
from lmjax.models.contract import LanguageModel, initial_carry
from lmjax.models.registry import build_model

LENGTH, VOCABULARY = 1000, 29
LENGTHS = (100, 1_000, 10_000)  # of rows that a carry is made for
SPREAD = 0.1  # of what is added to initial parameters, so that what was read matters
TOLERANCE = 1e-4  # of float32, after so many tokens


@dataclass(frozen=True)
class Decoding:
    """What reading LENGTH tokens one by one gave, held against all of them at once."""

    name: str
    difference: float  # the largest one of logits, as a share of the largest logit
    influence: float  # of the first half on logits of the second, as such a share
    bytes: tuple[int, ...]  # of a row's carry that is made for LENGTHS tokens
    is_endless: bool  # the carry takes in tokens without end

    @property
    def wrong(self) -> str:
        """What is; empty, if nothing is."""
        if not self.difference <= TOLERANCE:
            return (
                f"{self.name}: logits of {LENGTH} tokens read one by one are off by "
                f"{self.difference:.1e} of their size; at most {TOLERANCE:.0e} is due to rounding"
            )
        if not self.influence > 10 * TOLERANCE:
            return (
                f"{self.name}: other tokens before change logits by {self.influence:.1e} of their "
                "size at most, so that nothing can be told of its memory"
            )
        if self.is_endless and len(set(self.bytes)) > 1:
            return (
                f"{self.name}: the carry grows with the row, {self.bytes} bytes for {LENGTHS} "
                "tokens, though it is said to take in tokens without end"
            )
        return ""


def decoding(name: str, config: ConfigDict) -> Decoding:
    """The check of the model that `config.model` describes, with random parameters.

    Where its context is limited, the limit is raised to the longest of LENGTHS. Raises UserError
    for a model that reads more than the past.
    """
    config = ConfigDict(config.model)
    if "context_length" in config:
        config.context_length = max(LENGTHS)
    tokenizer = SimpleNamespace(vocabulary_size=VOCABULARY, end_id=0, special_id={}.get)
    tokenizer.source = tokenizer
    model = build_model(config, tokenizer)
    if model.reads != "past" or model.is_counted:
        raise UserError(f"{name} is no model that reads the past alone and is trained by gradient")
    tokens_BT = np.random.default_rng(0).integers(0, VOCABULARY, (1, LENGTH)).astype(np.int32)
    params = drawn(model, tokens_BT)
    at_once = compiled(partial(read_at_once, model), params, tokens_BT)
    one_by_one = compiled(partial(read_one_by_one, model), params, tokens_BT)
    whole_BTV = at_once(params, tokens_BT)
    half = LENGTH // 2
    others_BT = np.concatenate([tokens_BT[:, half:], tokens_BT[:, half:]], axis=1)
    return Decoding(
        name,
        relative(one_by_one(params, tokens_BT), whole_BTV),
        relative(at_once(params, others_BT)[:, half:], whole_BTV[:, half:]),
        tuple(carry_bytes(model, params, length) for length in LENGTHS),
        model.longest_context is None,
    )


def drawn(model: LanguageModel, tokens_BT: np.ndarray) -> Any:
    """Initial parameters, moved a little at random."""
    inputs = jax.random.key(0), tokens_BT[:, :2]
    draw = compiled(model.init, *inputs)
    generator = np.random.default_rng(1)

    def moved(leaf):
        noise = SPREAD * generator.standard_normal(leaf.shape)
        return np.asarray(leaf) + noise.astype(leaf.dtype)

    return jax.tree.map(moved, nn.meta.unbox(draw(*inputs)))


def compiled(function: Callable, *arguments: Any) -> Callable:
    """`function`, whose machine code is not optimized: it runs once, and compiling takes longer."""
    return jax.jit(function).lower(*arguments).compile({"xla_backend_optimization_level": 0})


def read_at_once(model: LanguageModel, params: Any, tokens_BT: jax.Array) -> jax.Array:
    """`logits_BTV` of all tokens, without a carry."""
    return model.apply(params, tokens_BT)[0]


def read_one_by_one(model: LanguageModel, params: Any, tokens_BT: jax.Array) -> jax.Array:
    """`logits_BTV` of tokens that are read one by one, from an initial carry on."""

    def one(carry, token_B):
        logits_B1V, carry = model.apply(params, token_B[:, None], carry)
        return carry, logits_B1V[:, 0]

    carry = initial_carry(model, params, *tokens_BT.shape)
    return lax.scan(one, carry, tokens_BT.T)[1].swapaxes(0, 1)


def relative(found_BTV: jax.Array, expected_BTV: jax.Array) -> float:
    """The largest difference, as a share of the largest number expected.

    Of logits less their mean over V, which no probability depends on.
    """
    found_BTV, expected_BTV = (
        logits - logits.mean(axis=-1, keepdims=True) for logits in (found_BTV, expected_BTV)
    )
    return float(np.abs(found_BTV - expected_BTV).max() / np.abs(expected_BTV).max())


def carry_bytes(model: LanguageModel, params: Any, length: int) -> int:
    """Bytes of one row's carry that is made for `length` tokens."""
    carry = jax.eval_shape(partial(initial_carry, model, batch_size=1, max_length=length), params)
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(carry))


def table(found: Iterable[Decoding]) -> list[tuple[str, ...]]:
    """A row for each: its name, the difference, and the bytes; the first one is their header."""
    header = "model", "difference", "influence", *(f"bytes at {n:,}" for n in LENGTHS)
    rows = [
        (
            one.name,
            f"{one.difference:.0e}",
            f"{one.influence:.0e}",
            *(f"{size:,}" for size in one.bytes),
        )
        for one in found
    ]
    return [header, *rows]
