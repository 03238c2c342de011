"""A model small enough to be followed by hand, and the same in NumPy."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from lmjax.models.contract import LanguageModel


class HashModel(LanguageModel):
    """Logits are the row of a table that a hash of all tokens since the segment began points to.

    One token beyond `limit` makes them NaN.
    """

    states: int = 11
    limit: int | None = None

    @property
    def longest_context(self):
        return self.limit

    def initial_carry(self, batch_size, max_length):
        zeros_B = jnp.zeros(batch_size, jnp.int32)
        return {"hash": zeros_B, "count": zeros_B, "segment": zeros_B}

    @nn.compact
    def __call__(
        self,
        tokens_BT,
        carry=None,
        *,
        segment_ids_BT=None,
        positions_BT=None,
        deterministic=True,
    ):
        table_NV = self.param(
            "table", nn.initializers.normal(2.0), (self.states, self.vocabulary_size)
        )
        start = self.initial_carry(len(tokens_BT), 0) if carry is None else carry
        if segment_ids_BT is None:
            segment_ids_BT = jnp.broadcast_to(start["segment"][:, None], tokens_BT.shape)

        def step(carry, following):
            token_B, segment_B = following
            same_B = segment_B == carry["segment"]
            hash_B = (jnp.where(same_B, carry["hash"], 0) * 5 + token_B + 1) % self.states
            count_B = carry["count"] + 1
            carry = {"hash": hash_B, "count": count_B, "segment": segment_B}
            return carry, (hash_B, count_B)

        after, (hash_TB, count_TB) = jax.lax.scan(step, start, (tokens_BT.T, segment_ids_BT.T))
        logits_BTV = table_NV[hash_TB.T]
        if self.limit is not None:
            logits_BTV = jnp.where(count_TB.T[..., None] <= self.limit, logits_BTV, jnp.nan)
        return logits_BTV, None if carry is None else after


def hash_logits(table_NV: np.ndarray, tokens: list[int]) -> np.ndarray:
    """The logits of `HashModel` after `tokens`, in float64."""
    state = 0
    for token in tokens:
        state = (state * 5 + int(token) + 1) % len(table_NV)
    return np.asarray(table_NV[state], np.float64)


def hash_log_prob(table_NV: np.ndarray, tokens: list[int], target: int) -> float:
    """The log-probability in nats that `HashModel` gives `target` after `tokens`."""
    logits_V = hash_logits(table_NV, tokens)
    return logits_V[target] - np.log(np.sum(np.exp(logits_V)))


def make_hash_model(
    vocabulary_size: int = 6, limit: int | None = None, seed: int = 0, states: int = 11
):
    """A model, its parameters and the table that they hold."""
    model = HashModel(vocabulary_size=vocabulary_size, limit=limit, states=states)
    params = model.init(jax.random.key(seed), jnp.zeros((1, 1), jnp.int32))
    return model, params, np.asarray(params["params"]["table"])


class SurroundingsModel(LanguageModel):
    """Logits are the sum of the rows of a table for all other tokens of the segment that are shown.

    Those of a token's own place are left out. `fault` names one way to get it wrong.
    """

    fault: str = ""

    reads = "both"

    def initial_carry(self, batch_size, max_length):
        return jnp.zeros(batch_size) if self.fault == "carries" else None

    @nn.compact
    def __call__(
        self,
        tokens_BT,
        carry=None,
        *,
        segment_ids_BT=None,
        positions_BT=None,
        token_types_BT=None,
        places_BP=None,
        deterministic=True,
    ):
        shape_NV = (self.vocabulary_size, self.vocabulary_size)
        table_NV = self.param("table", nn.initializers.normal(2.0), shape_NV)
        if segment_ids_BT is None or self.fault == "ignores segments":
            segment_ids_BT = jnp.zeros_like(tokens_BT)
        same_BTT = segment_ids_BT[:, :, None] == segment_ids_BT[:, None, :]
        if self.fault != "reads its own":
            same_BTT &= ~jnp.eye(tokens_BT.shape[1], dtype=bool)[None]
        if self.fault == "is causal":
            same_BTT &= jnp.tri(tokens_BT.shape[1], dtype=bool)[None]
        logits_BTV = same_BTT.astype(jnp.float32) @ table_NV[tokens_BT]
        if places_BP is not None and self.fault != "ignores places":
            logits_BTV = jnp.take_along_axis(logits_BTV, places_BP[..., None], axis=1)
        return logits_BTV, None

    def log_probs(self, tokens_BT, targets_BT, carry=None, **context):
        shown_BT = targets_BT if self.fault == "reads targets" else tokens_BT
        return super().log_probs(shown_BT, targets_BT, carry, **context)
