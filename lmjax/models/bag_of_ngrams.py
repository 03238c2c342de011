"""Logistic regression on the n-grams of a source: which they are, and not where they stand."""

from collections.abc import Iterable

import jax
import jax.numpy as jnp

from lmjax.errors import UserError, nearest
from lmjax.models.bag_fit import FEATURES, fit_bag
from lmjax.models.conditional import ConditionalModel, or_empty
from lmjax.models.ngram_tables import find_rows


class BagOfNGrams(ConditionalModel):
    """The label of a source by a softmax of a linear function of its n-grams.

    The n-grams are those of 1 to `order` tokens that `least_documents` of the training text have.
    A number stands for each: how often it is there (`counts`), whether it is (`presence`), or its
    count times how rare it is, all divided by their norm (`tf_idf`). Weights are fitted with a
    penalty of 1 / (2 `inverse_penalty`) times their square. So does scikit-learn. Raises UserError
    for unknown features and for numbers out of range.
    """

    is_counted = True

    order: int
    features: str
    least_documents: int
    inverse_penalty: float

    def __post_init__(self):
        super().__post_init__()
        if self.features not in FEATURES:
            hint = nearest(self.features, FEATURES)
            raise UserError(f"unknown model.features {self.features!r}: {hint}")
        for name in ("order", "least_documents"):
            if getattr(self, name) < 1:
                raise UserError(f"model.{name} is {getattr(self, name)}; it is at least 1")
        if self.inverse_penalty <= 0:
            raise UserError(f"model.inverse_penalty is {self.inverse_penalty}; give more than 0")

    def fit(self, streams: Iterable) -> dict:
        """The parameters, by scikit-learn; raises UserError where that is not installed.

        And for labels that are not one token each.
        """
        tables = fit_bag(
            list(streams),
            self.order,
            self.features,
            self.least_documents,
            self.inverse_penalty,
            self.source_vocabulary_size,
            self.vocabulary_size,
        )
        return {"params": jax.tree.map(jnp.asarray, tables)}

    def setup(self):
        # `init` makes the tables of a model that was fitted to nothing: the uniform distribution.
        def table(name: str):
            return self.variable("params", name, lambda: self.fit(())["params"][name]).value

        self.bias_V = table("bias_V")
        self.tables = [table(f"order_{size}") for size in range(1, self.order + 1)]

    def initial_carry(
        self, batch_size: int, max_length: int, *, source_BS=None, source_weights_BS=None
    ) -> jax.Array:
        """`logits_BV` of the labels."""
        return self._labels(batch_size, source_BS, source_weights_BS)

    def __call__(
        self,
        tokens_BT: jax.Array,
        carry: jax.Array | None = None,
        *,
        source_BS: jax.Array | None = None,
        source_weights_BS: jax.Array | None = None,
        deterministic: bool = True,
    ) -> tuple[jax.Array, jax.Array | None]:
        """`logits_BTV`, the same at each place: a label is one token."""
        rows, length = tokens_BT.shape
        logits_BV = carry
        if carry is None:
            logits_BV = self._labels(rows, source_BS, source_weights_BS)
        return jnp.repeat(logits_BV[:, None], length, axis=1), carry

    def _labels(self, rows: int, source_BS, source_weights_BS) -> jax.Array:
        source_BS, weights_BS = or_empty(rows, source_BS, source_weights_BS)
        logits_BV = jnp.zeros((rows, self.vocabulary_size))
        squares_B = jnp.zeros(rows)
        found_BS = None
        for table in self.tables:
            found_BS = self._rows(table, found_BS, source_BS, weights_BS > 0)
            # Each of the n-gram's places adds its part, so that together they are one feature.
            times_BS = jax.vmap(_times_in_row)(found_BS)
            scale_BS = table["scale_N"][found_BS]
            value_BS = scale_BS / times_BS if self.features == "presence" else scale_BS
            logits_BV += jnp.einsum("bs,bsv->bv", value_BS, table["weights_NV"][found_BS])
            squares_B += (times_BS * jnp.square(scale_BS)).sum(axis=1)
        if self.features == "tf_idf":
            logits_BV /= jnp.sqrt(jnp.where(squares_B > 0, squares_B, 1))[:, None]
        return logits_BV + self.bias_V[None, :]

    def _rows(self, table, shorter_BS, source_BS, is_token_BS) -> jax.Array:
        """The row of the n-gram that ends at each place, given those of one token less."""
        unseen = table["scale_N"].size - 1
        if shorter_BS is None:
            return jnp.where(is_token_BS, source_BS, unseen)
        nowhere = table["starts_M"].size - 2  # before a row's first token
        before_BS = jnp.pad(shorter_BS, ((0, 0), (1, 0)), constant_values=nowhere)[:, :-1]
        found_BS = find_rows(table, before_BS, source_BS, self.source_vocabulary_size)
        return jnp.where(is_token_BS, found_BS, unseen)


def _times_in_row(rows_S: jax.Array) -> jax.Array:
    """`times_S`: how often each number is in the row."""
    sorted_S = jnp.sort(rows_S)
    ends_S, begins_S = (jnp.searchsorted(sorted_S, rows_S, side=s) for s in ("right", "left"))
    return ends_S - begins_S
