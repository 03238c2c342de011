"""Interpolated Kneser-Ney n-grams of any order: counted in one pass, read as a trie of tables."""

from collections.abc import Iterable

import jax
import jax.numpy as jnp

from lmjax.errors import UserError, nearest
from lmjax.models.contract import Carry, LanguageModel
from lmjax.models.ngram_smoothing import estimate
from lmjax.models.ngram_tables import find_rows

SMOOTHINGS = ("modified_kneser_ney", "kneser_ney")


class NGramModel(LanguageModel):
    """Kneser and Ney (1995), interpolated, without cutoffs; modified as Chen and Goodman (1998).

    The carry is the last `order - 1` tokens of each row, how many of them count, and their segment.
    Raises UserError for an unknown smoothing, an order below 1, or a sentence boundary where the
    tokenizer has no <eos>.
    """

    is_counted = True

    order: int
    smoothing: str
    sentence_boundary: bool
    end_id: int

    def __post_init__(self):
        super().__post_init__()
        if self.smoothing not in SMOOTHINGS:
            raise UserError(
                f"unknown smoothing {self.smoothing!r}: {nearest(self.smoothing, SMOOTHINGS)}"
            )
        if self.order < 1:
            raise UserError(f"an n-gram model of order {self.order}; model.order is at least 1")
        if self.sentence_boundary and self.end_id < 0:
            raise UserError(
                "model.sentence_boundary needs an <eos>, which this tokenizer does not have; "
                "set data.document_end, data.tokenizer='word' or model.sentence_boundary=False"
            )

    @staticmethod
    def derived_fields(tokenizer) -> dict[str, int]:
        """The token that ends a sentence; -1 if the tokenizer has none."""
        return {"end_id": -1 if tokenizer.end_id is None else tokenizer.end_id}

    def fit(self, streams: Iterable) -> dict:
        """The parameters: tables counted on streams, each read from its start token to its end.

        Contexts reach across the documents of a stream, as they do when it is scored without
        segment ids. With `sentence_boundary` they reach back to the last <eos> and no further.
        """
        end_id = self.end_id if self.sentence_boundary else -1
        tables = estimate(streams, self.order, self.vocabulary_size, self.smoothing, end_id)
        return {"params": {name: jax.tree.map(jnp.asarray, table) for name, table in tables}}

    def setup(self):
        # `init` makes the tables of a model that has counted nothing: the uniform distribution.
        def table(name: str) -> dict[str, jax.Array]:
            return self.variable("params", name, lambda: self.fit(())["params"][name]).value

        self.unigrams = table("order_1")
        self.longer = [table(f"order_{size}") for size in range(2, self.order + 1)]

    def initial_carry(self, batch_size: int, max_length: int) -> Carry:
        return {
            "tokens_BN": jnp.zeros((batch_size, self.order - 1), jnp.int32),
            "valid_B": jnp.zeros(batch_size, jnp.int32),
            "segment_id_B": jnp.zeros(batch_size, jnp.int32),
        }

    def __call__(
        self, tokens_BT, carry=None, *, segment_ids_BT=None, positions_BT=None, deterministic=True
    ):
        contexts, carry = self._contexts(tokens_BT, carry, segment_ids_BT)
        shape_BTV = (*tokens_BT.shape, self.vocabulary_size)
        words_BTV = jnp.broadcast_to(jnp.arange(self.vocabulary_size), shape_BTV)
        contexts = [jnp.broadcast_to(rows_BT[..., None], shape_BTV) for rows_BT in contexts]
        return jnp.log(self._probabilities(contexts, words_BTV)), carry

    def log_probs(
        self,
        tokens_BT,
        targets_BT,
        carry=None,
        *,
        segment_ids_BT=None,
        positions_BT=None,
        deterministic=True,
    ):
        contexts, carry = self._contexts(tokens_BT, carry, segment_ids_BT)
        return jnp.log(self._probabilities(contexts, targets_BT)), carry

    def _contexts(self, tokens_BT, carry, segment_ids_BT) -> tuple[list[jax.Array], Carry]:
        """After each token, the table rows of the last 1 to `order - 1` tokens; and the carry."""
        before = self.initial_carry(len(tokens_BT), 0) if carry is None else carry
        length, memory = tokens_BT.shape[1], self.order - 1
        tokens_BS = jnp.concatenate([before["tokens_BN"], tokens_BT], axis=1)
        valid_BT = tokens_since_reset(
            before["valid_B"], before["segment_id_B"], segment_ids_BT, length
        )
        contexts, rows_BS = [tokens_BT], tokens_BS
        for size, table in enumerate(self.longer[:-1], start=2):
            rows_BS = self._find(table, rows_BS[:, :-1], tokens_BS[:, size - 1 :])
            unseen = table["words_N"].size - 1
            contexts.append(jnp.where(valid_BT >= size, rows_BS[:, -length:], unseen))
        if carry is not None:
            segment_id_B = before["segment_id_B"]
            carry = {
                "tokens_BN": tokens_BS[:, length:],
                "valid_B": jnp.minimum(valid_BT[:, -1], memory),
                "segment_id_B": segment_id_B if segment_ids_BT is None else segment_ids_BT[:, -1],
            }
        return contexts[:memory], carry

    def _probabilities(self, contexts: list[jax.Array], words: jax.Array) -> jax.Array:
        """That of the longest n-gram seen, times the backoffs of all longer contexts."""
        probability = self.unigrams["probability_N"][words]
        for rows, table in zip(contexts, self.longer, strict=True):
            found = self._find(table, rows, words)
            backed_off = table["backoff_M"][rows] * probability
            seen = found < table["words_N"].size - 1
            probability = jnp.where(seen, table["probability_N"][found], backed_off)
        return probability

    def _find(self, table: dict[str, jax.Array], contexts: jax.Array, words: jax.Array):
        return find_rows(table, contexts, words, self.vocabulary_size)


def tokens_since_reset(valid_B, segment_id_B, segment_ids_BT, length: int) -> jax.Array:
    """`valid_BT`: how many tokens of its segment a row has read after each of `length` tokens.

    `valid_B` of them, of segment `segment_id_B`, were read before.
    """
    index_T = jnp.arange(length)[None, :]
    begin_BT = jnp.broadcast_to(-valid_B[:, None], (len(valid_B), length))
    if segment_ids_BT is not None:
        before_BT = jnp.concatenate([segment_id_B[:, None], segment_ids_BT[:, :-1]], axis=1)
        begin_BT = jnp.where(segment_ids_BT != before_BT, index_T, begin_BT)
        begin_BT = jax.lax.cummax(begin_BT, axis=1)
    return index_T + 1 - begin_BT
