"""What every conditional model is: a language model whose carry begins with a source."""

from typing import Any

import jax
import jax.numpy as jnp

from lmjax.models.contract import Carry, LanguageModel


class ConditionalModel(LanguageModel):
    """A language model of targets, given a source.

    Each row is one target. A subclass defines `initial_carry(batch_size, max_length, *, source_BS,
    source_weights_BS)`, which reads the source once, and `__call__(tokens_BT, carry, *, source_BS,
    source_weights_BS, deterministic)`. Given a carry of None, the latter reads the source itself,
    and remembers nothing. Weights are 0 for what is padding of the source, which changes nothing.
    Without a source it is empty: one token of padding.
    """

    source_vocabulary_size: int

    reads = "source"

    @staticmethod
    def derived_fields(tokenizer: Any) -> dict[str, Any]:
        return {"source_vocabulary_size": tokenizer.source.vocabulary_size}

    def example_source(self, batch_size: int, length: int) -> dict[str, jax.Array]:
        return {
            "source_BS": jnp.zeros((batch_size, length), jnp.int32),
            "source_weights_BS": jnp.ones((batch_size, length)),
        }

    def initial_carry(
        self,
        batch_size: int,
        max_length: int,
        *,
        source_BS: jax.Array | None = None,
        source_weights_BS: jax.Array | None = None,
    ) -> Carry:
        raise NotImplementedError

    def __call__(
        self,
        tokens_BT: jax.Array,
        carry: Carry = None,
        *,
        source_BS: jax.Array | None = None,
        source_weights_BS: jax.Array | None = None,
        deterministic: bool = True,
    ) -> tuple[jax.Array, Carry]:
        raise NotImplementedError


def or_empty(
    batch_size: int, source_BS: jax.Array | None, source_weights_BS: jax.Array | None
) -> tuple[jax.Array, jax.Array]:
    """`source_BS, source_weights_BS`: as given; all weights are 1 where none are; or no source."""
    if source_BS is None:
        return jnp.zeros((batch_size, 1), jnp.int32), jnp.zeros((batch_size, 1))
    if source_weights_BS is None:
        return source_BS, jnp.ones(source_BS.shape)
    return source_BS, source_weights_BS
