"""What every model is: tokens and a carry in, logits and a new carry out.

An array's name ends in its dimensions, and a digit is a dimension of that size:

- B: batch, the rows
- T: time, the tokens of a row
- S: slots or tokens that are read by others
- W: slots of a window
- V: vocabulary
- D: width of the model
- E: width inside of a mixer, or of embeddings, where it is another one
- F: width of a feed-forward network
- H: heads
- K: width of a head, of queries, keys and values; in beam search, open hypotheses of a row
- M: width of what is remembered of a token; in tables of n-grams, contexts
- G: sums of all gates of a recurrent layer; in studies, segments of text
- N: numbers in a channel's state; elsewhere the entries of one dimension without a letter of its
  own, such as the tokens of a stream, or rows and time folded into one
- L: layers, or leaves of a tree of arrays
- P: places of a row that something is predicted at, where it is not at all of them
- R: rank of a low-rank product
- A: arms of a study, where S are their seeds and C columns
- X: experts of a feed-forward network, of which a token has C
"""

from collections.abc import Iterable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from lmjax.errors import UserError
from lmjax.mixers.contract import Carry
from lmjax.nn.softmax import log_probs_and_right


class LanguageModel(nn.Module):
    """A language model, used only through `init` and `apply`.

    A subclass defines `initial_carry` and `__call__`. One whose parameters are counted rather than
    trained by gradient sets `is_counted` and defines `fit`. One that need not form all logits
    overrides `log_probs`.
    """

    vocabulary_size: int

    is_counted = False
    takes_places = False  # `places_BP=` forms logits of those places alone: `logits_BPV`
    takes_token_types = False  # `token_types_BT=`, below its field `token_types`, tells texts apart
    # What a target's probability depends on. past: the tokens before it; source: those and a source
    # that is read first; both: tokens on both sides, of which some are hidden; each_side: the
    # tokens before it and, apart from them, those after it; words: one word.
    reads = "past"

    @staticmethod
    def derived_fields(tokenizer: Any) -> dict[str, Any]:
        """Fields that follow from the tokenizer and so are in no configuration."""
        return {}

    @property
    def longest_context(self) -> int | None:
        """The most tokens that a carry can take in; None if there is no limit."""
        return None

    @property
    def active_shares(self) -> Mapping[str, float]:
        """The share of a parameter's entries that one token's result depends on, if not all.

        By the logical name of one of the parameter's axes.
        """
        return {}

    def initial_carry(self, batch_size: int, max_length: int, **source: Any) -> Carry:
        """The memory of `batch_size` rows before their first of at most `max_length` tokens.

        It may depend on the parameters and, in a conditional model, on a source that is read once.
        Outside of models, carries are made by the function of the same name below. A model that
        reads both sides has none.
        """
        raise NotImplementedError

    def __call__(
        self,
        tokens_BT: jax.Array,
        carry: Carry = None,
        *,
        segment_ids_BT: jax.Array | None = None,
        positions_BT: jax.Array | None = None,
        deterministic: bool = True,
    ) -> tuple[jax.Array, Carry]:
        """`logits_BTV, carry` after `tokens_BT`.

        A carry of None starts anew and remembers nothing: the returned carry is None. Where
        `segment_ids_BT` changes from one token to the next, the memory is reset; None continues the
        segment of the carry. `positions_BT` counts tokens since the segment began, for models that
        tell positions apart; None derives it.
        With `deterministic=False` dropout draws from the rng stream `dropout`.
        """
        raise NotImplementedError

    def log_probs(
        self, tokens_BT: jax.Array, targets_BT: jax.Array, carry: Carry = None, **context: Any
    ) -> tuple[jax.Array, Carry]:
        """`log_probs_BT, carry`: the log-probability in nats of each target, in float32."""
        logits_BTV, carry = self(tokens_BT, carry, **context)
        return log_probs_and_right(logits_BTV, targets_BT)[0], carry

    def hidden_states(
        self, tokens_BT: jax.Array, carry: Carry = None, **context: Any
    ) -> tuple[jax.Array, Carry]:
        """`hidden_BTD, carry`: what the output layer reads after each token, of the past alone.

        Raises UserError for a model without such.
        """
        raise UserError(
            "this model shows no vectors that its probabilities are formed of; take one of the "
            "families rnn, awd_rnn, attention_rnn, transformer, or to read both sides bert, bilstm"
        )

    def output_log_probs(self, hidden_BTD: jax.Array, targets_BT: jax.Array) -> jax.Array:
        """`log_probs_BT` of the targets, given what `hidden_states` returned."""
        raise NotImplementedError

    def for_decoding(self, params: Any) -> tuple["LanguageModel", Any]:
        """A model and parameters that give the same token by token, where some do so faster."""
        return self, params

    def example_source(self, batch_size: int, length: int) -> dict[str, jax.Array]:
        """A source of `length` tokens, as keyword arguments; empty for a model that reads none."""
        return {}

    def hidden_BTD(self, tokens_BT: jax.Array, **context: Any) -> jax.Array:
        """The vector of each token, before any head, of all that the model reads of the row.

        Of a model of the past that is what `hidden_states` shows; raises UserError as it does.
        """
        return self.hidden_states(tokens_BT, **context)[0]

    def alignments(self, tokens_BT: jax.Array, **source: jax.Array) -> jax.Array:
        """`weights_BTS`: how much of each token of a source is attended to after each token.

        `source` are the keyword arguments that a conditional model reads. Raises UserError for a
        model without attention to a source.
        """
        raise UserError("this model has no attention to a source, so that nothing aligns the two")

    def fit(self, streams: Iterable) -> Any:
        """The parameters of a model that `is_counted`, from streams of tokens."""
        raise NotImplementedError


def predicts_from_hidden_states(model: LanguageModel) -> bool:
    """Whether the model has `hidden_states` and `output_log_probs`."""
    return type(model).output_log_probs is not LanguageModel.output_log_probs


def initial_carry(
    model: LanguageModel, params: Any, batch_size: int, max_length: int, **source: Any
) -> Carry:
    """What `batch_size` rows remember before their first of at most `max_length` tokens."""
    return model.apply(params, batch_size, max_length, method="initial_carry", **source)


def at_places(x_BTD: jax.Array, places_BP: jax.Array | None) -> jax.Array:
    """`x_BPD`, or all of x where no places are given."""
    if places_BP is None:
        return x_BTD
    return jnp.take_along_axis(x_BTD, places_BP[..., None], axis=1)


def restart_rows(carry: Carry, initial: Carry, continues_B: jax.Array) -> Carry:
    """The carry with the rows that do not continue put back to their initial one."""

    def restart(leaf, fresh):
        keep = continues_B.reshape(continues_B.shape + (1,) * (leaf.ndim - 1))
        return jnp.where(keep, leaf, fresh)

    return jax.tree.map(restart, carry, initial)
