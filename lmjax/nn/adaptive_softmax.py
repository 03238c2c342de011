"""The adaptive softmax: rare tokens in clusters of less width, formed only where they are asked."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from lmjax.errors import UserError
from lmjax.nn.output_layers import OutputLayer, check_chunk
from lmjax.nn.precision import wide_product


class Tail(NamedTuple):
    """The rare tokens `begin` to `end`, whose logits are of a narrow projection."""

    begin: int
    end: int
    projection_DE: jax.Array
    kernel_EV: jax.Array


class AdaptiveSoftmax(OutputLayer):
    """A softmax over the most frequent tokens and over clusters of others, in each of which is one.

    Grave et al. (2017a), section 4. Ids count tokens from the most frequent on; `cutoffs` are the
    first ids of the clusters, in whose projections the width is divided by `projection_factor` once
    more each. Targets are sorted by cluster and read in chunks, of which one forms no logits of
    clusters that it has no target in. Over several devices that gathers all of them on each. The
    bias is of the first softmax alone; `logits` are log-probabilities. Raises UserError for cutoffs
    that don't rise within the vocabulary, tied weights, and options out of range.
    """

    cutoffs: str = "2000,10000"
    projection_factor: float = 4.0
    chunk: int = 128  # targets, sorted by cluster, whose logits are held at a time; 0: all

    orders_ids = True

    def __post_init__(self):
        super().__post_init__()
        if self.table_width or self.logits_cap:
            raise UserError(
                "output 'adaptive_softmax' has kernels of its own and logits that are not capped; "
                "set model.tied=False, and model.logits_cap=0"
            )
        if self.projection_factor < 1:
            raise UserError(
                f"option 'projection_factor' of an adaptive softmax is {self.projection_factor}; "
                "give 1 or more"
            )
        check_chunk(self.chunk)
        self._borders()

    def _borders(self) -> list[int]:
        """The first id of each cluster, and the end."""
        try:
            found = [int(part) for part in self.cutoffs.split(",")]
        except ValueError:
            found = []
        borders = [*found, self.vocabulary_size]
        if not found or borders != sorted(set(borders)) or borders[0] < 1:
            raise UserError(
                f"option 'cutoffs' of an adaptive softmax is {self.cutoffs!r}; give ids that rise "
                f"and are below the vocabulary's {self.vocabulary_size}, such as '2000,10000'"
            )
        return borders

    def setup(self):
        borders = self._borders()
        self.shortlist = borders[0]
        first = self.shortlist + len(borders) - 1
        self.kernel_DV = self.parameter("kernel", ("embed", "vocab"), (self.width, first))
        self.bias_V = self.parameter("bias", ("vocab",), (first,)) if self.bias else None
        tails = []
        for index, (begin, end) in enumerate(zip(borders, borders[1:], strict=False)):
            narrow = max(1, int(self.width // self.projection_factor ** (index + 1)))
            projection_DE = self.parameter(
                f"projection_{index}", ("embed", "hidden"), (self.width, narrow)
            )
            kernel_EV = self.parameter(
                f"tail_kernel_{index}", ("hidden", "vocab"), (narrow, end - begin)
            )
            tails.append(Tail(begin, end, projection_DE, kernel_EV))
        self.tails = tuple(tails)

    def logits(self, hidden_BTD, table_VD=None, deterministic=True):
        hidden_ND = hidden_BTD.reshape(-1, self.width)
        first_NV = self._first_log_probs(hidden_ND)
        parts = [first_NV[:, : self.shortlist]]
        for index, tail in enumerate(self.tails):
            of_cluster_N1 = first_NV[:, self.shortlist + index, None]
            parts.append(_tail_log_probs(tail, hidden_ND) + of_cluster_N1)
        return jnp.concatenate(parts, axis=1).reshape(*hidden_BTD.shape[:2], -1)

    def log_probs(self, hidden_BTD, targets_BT, table_VD=None, deterministic=True):
        hidden_ND, targets_N = hidden_BTD.reshape(-1, self.width), targets_BT.reshape(-1)
        starts = jnp.array([tail.begin for tail in self.tails])
        clusters_N = jnp.searchsorted(starts, targets_N, side="right")
        count = len(targets_N)
        size = min(self.chunk or count, count)
        order_N = jnp.argsort(clusters_N)
        padded_N = jnp.pad(order_N, (0, -count % size))  # what is read twice is left out below
        chunks = (leaf[padded_N] for leaf in (hidden_ND, targets_N, clusters_N))
        chunks = tuple(leaf.reshape(-1, size, *leaf.shape[1:]) for leaf in chunks)
        one = partial(jax.checkpoint, prevent_cse=False)(self._chunk_log_probs)
        _, log_probs = lax.scan(lambda nothing, chunk: (nothing, one(*chunk)), None, chunks)
        log_probs_N = jnp.zeros(count).at[order_N].set(log_probs.reshape(-1)[:count])
        return log_probs_N.reshape(targets_BT.shape)

    def _chunk_log_probs(self, hidden_ND, targets_N, clusters_N) -> jax.Array:
        in_first_N = jnp.where(clusters_N == 0, targets_N, self.shortlist + clusters_N - 1)
        log_probs_N = _taken(self._first_log_probs(hidden_ND), in_first_N)
        for index, tail in enumerate(self.tails):
            is_here_N = clusters_N == index + 1

            def of_tail(hidden_ND, tail=tail, is_here_N=is_here_N):
                within_N = jnp.where(is_here_N, targets_N - tail.begin, 0)
                found_N = _taken(_tail_log_probs(tail, hidden_ND), within_N)
                return jnp.where(is_here_N, found_N, 0.0)

            log_probs_N += lax.cond(
                is_here_N.any(),
                of_tail,
                lambda _, like=log_probs_N: jnp.zeros_like(like),
                hidden_ND,
            )
        return log_probs_N

    def _first_log_probs(self, hidden_ND: jax.Array) -> jax.Array:
        """`log_probs_NV` of the frequent tokens and, behind them, the clusters."""
        logits_NV = wide_product(hidden_ND, self.kernel_DV.astype(hidden_ND.dtype))
        if self.bias_V is not None:
            logits_NV += self.bias_V[None, :]
        return jax.nn.log_softmax(logits_NV)


def _tail_log_probs(tail: Tail, hidden_ND: jax.Array) -> jax.Array:
    """`log_probs_NV` of the tokens of a cluster, in it."""
    dtype = hidden_ND.dtype
    narrow_NE = wide_product(hidden_ND, tail.projection_DE.astype(dtype)).astype(dtype)
    return jax.nn.log_softmax(wide_product(narrow_NE, tail.kernel_EV.astype(dtype)))


def _taken(log_probs_NV: jax.Array, places_N: jax.Array) -> jax.Array:
    return jnp.take_along_axis(log_probs_NV, places_N[:, None], axis=1)[:, 0]
