"""What holds for every language model, as functions of a model and its parameters.

Each raises AssertionError, with what is wrong, where the property does not hold.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from lmjax.checks import bidirectional_properties, source_properties
from lmjax.checks.probes import (
    LENGTH,
    ROWS,
    assert_close,
    assert_same_shapes,
    described,
    draw_segments,
    draw_source,
    draw_tokens,
    log_probs,
    read,
    read_in_chunks,
    rows_of,
)
from lmjax.errors import UserError
from lmjax.models.contract import LanguageModel, initial_carry
from lmjax.nn.embeddings import TokenEmbedding


def same_in_chunks(model, params, segments=None):
    """All tokens at once = in two chunks = one at a time, for logits and the final carry."""
    tokens_BT, source = draw_tokens(model), draw_source(model)
    whole = read_in_chunks(model, params, tokens_BT, segments, [LENGTH], source)
    for sizes in ([4, LENGTH - 4], [1] * LENGTH):
        chunked = read_in_chunks(model, params, tokens_BT, segments, sizes, source)
        how = "one token at a time" if len(sizes) == LENGTH else f"in chunks of {sizes}"
        assert_close(
            chunked[0],
            whole[0],
            f"tokens read {how} give other logits than all at once: the carry does not hold all "
            "that they depend on",
        )
        assert_same_shapes(chunked[1], whole[1], f"the carry after reading {how}")
        for one, other in zip(*map(jax.tree.leaves, (chunked[1], whole[1])), strict=True):
            assert_close(one, other, f"the carry after reading {how} is another than all at once")


def same_without_carry(model, params, segments=None):
    """A carry of None gives the logits of an empty one, and None back."""
    tokens_BT, source = draw_tokens(model), draw_source(model)
    whole, _ = read_in_chunks(model, params, tokens_BT, segments, [LENGTH], source)
    logits_BTV, carry = read(model, params, tokens_BT, None, segments, source)
    assert carry is None, "given a carry of None, the model returns another one than None"
    assert_close(
        logits_BTV, whole, "a carry of None gives other logits than what initial_carry returns"
    )


def rows_lead_every_carry(model, params):
    """Every leaf of a carry leads with the batch, and reading changes no shape and no dtype."""
    tokens_BT, source = draw_tokens(model), draw_source(model)
    fresh = initial_carry(model, params, *tokens_BT.shape, **source)
    _, carry = read_in_chunks(model, params, tokens_BT, None, [LENGTH], source)
    assert_same_shapes(carry, fresh, "the carry after reading")
    for path, leaf in jax.tree_util.tree_leaves_with_path(fresh):
        assert leaf.shape[:1] == (ROWS,), (
            f"the carry's {jax.tree_util.keystr(path)} has the shape {leaf.shape} for {ROWS} rows: "
            "rows have to come first"
        )


def no_token_sees_a_later_one(model, params):
    """Other later tokens change no logit."""
    tokens_BT, source = draw_tokens(model), draw_source(model)
    logits_BTV, _ = read(model, params, tokens_BT, source=source)
    for time in range(LENGTH - 1):
        other_BT = tokens_BT.copy()
        other_BT[:, time + 1 :] = (other_BT[:, time + 1 :] + 1) % model.vocabulary_size
        changed_BTV, _ = read(model, params, other_BT, source=source)
        before = slice(0, time + 1)
        assert_close(
            changed_BTV[:, before],
            logits_BTV[:, before],
            f"logits change with tokens that come later (than the {time + 1}th)",
        )


def no_gradient_from_a_later_token(model, params):
    """The Jacobian of logits by embeddings is zero for later tokens, and not for earlier ones.

    Raises NoEmbedding for a model whose tokens pass neither `TokenEmbedding` nor `nn.Embed`.
    """
    tokens_BT, source = draw_tokens(model, rows=1), rows_of(draw_source(model), slice(1))
    shapes = []
    with nn.intercept_methods(partial(_shift_embeddings, tokens_BT.shape, None, shapes)):
        jax.eval_shape(lambda: model.apply(params, tokens_BT, **source))
    if not shapes:
        raise NoEmbedding

    def logits_TV(shifts):
        left = list(shifts)
        with nn.intercept_methods(partial(_shift_embeddings, tokens_BT.shape, left, [])):
            return model.apply(params, tokens_BT, **source)[0][0]

    jacobians = jax.jacobian(logits_TV)([jnp.zeros(shape) for shape in shapes])
    influence_TT = sum(np.abs(one[:, :, 0]).sum(axis=(1, 3)) for one in jacobians)
    later = np.argwhere(np.triu(influence_TT, k=1) != 0) + 1
    assert not len(later), (
        f"the logits after token {later[0][0]} have a gradient by the embedding of token "
        f"{later[0][1]}, which comes later"
    )
    assert np.diag(influence_TT).any(), "no logit has a gradient by the embedding of its own token"


class NoEmbedding(Exception):
    """Causality can't be tested by gradient: no embedding of tokens was found."""


def neighbours_do_not_matter(model, params, segments=None):
    """A row's logits are the same whatever the other rows hold."""
    tokens_BT, source = draw_tokens(model), draw_source(model)
    first = None if segments is None else segments[:1], rows_of(source, slice(1))
    alone, _ = read(model, params, tokens_BT[:1], None, *first)
    together, _ = read(model, params, tokens_BT, None, segments, source)
    assert_close(together[:1], alone, "a row's logits change with the other rows of its batch")


def segments_are_read_apart(model, params):
    """Two documents in one row give the logits of each on its own, with and without a carry."""
    tokens_BT = draw_tokens(model)
    first = LENGTH // 2
    segment_ids_BT = np.repeat([[1] * first + [2] * (LENGTH - first)], ROWS, 0).astype(np.int32)
    apart = [read(model, params, part)[0] for part in np.split(tokens_BT, [first], axis=1)]
    apart_BTV = np.concatenate(apart, axis=1)
    message = "where segment_ids_BT changes, the model remembers what stood before"
    packed_BTV, _ = read(model, params, tokens_BT, None, segment_ids_BT)
    assert_close(packed_BTV, apart_BTV, message)
    carried_BTV, _ = read_in_chunks(model, params, tokens_BT, segment_ids_BT, [LENGTH])
    assert_close(carried_BTV, apart_BTV, f"{message} (with a carry)")


def probabilities_sum_to_one(model, params):
    """Over every next token, by `log_probs` itself, and by the logits."""
    tokens_BT, source = draw_tokens(model, length=4), draw_source(model)
    logits_BTV, _ = read(model, params, tokens_BT, source=source)
    normalised_BTV = jax.nn.log_softmax(logits_BTV)
    total_BT = np.zeros(tokens_BT.shape)
    for token in range(model.vocabulary_size):
        targets_BT = np.full_like(tokens_BT, token)
        log_probs_BT, _ = log_probs(model, params, tokens_BT, targets_BT, source)
        assert_close(
            log_probs_BT, normalised_BTV[:, :, token], "log_probs are not those of the logits"
        )
        total_BT += np.exp(np.asarray(log_probs_BT, np.float64))
    assert_close(total_BT, np.ones_like(total_BT), "the probabilities of all tokens do not add up")


def _with_segments(check: Callable[..., None]) -> Callable[..., None]:
    return lambda model, params: check(model, params, draw_segments())


OF_ALL = {
    "a row does not depend on its neighbours": neighbours_do_not_matter,
    "probabilities sum to one": probabilities_sum_to_one,
}
OF_CARRIES = {
    "in chunks as at once": same_in_chunks,
    "without a carry as with an empty one": same_without_carry,
    "rows lead every carry": rows_lead_every_carry,
    "no token sees a later one": no_token_sees_a_later_one,
    "no gradient from a later token": no_gradient_from_a_later_token,
}
OF_DOCUMENTS = {
    "in chunks as at once, several documents": _with_segments(same_in_chunks),
    "without a carry, several documents": _with_segments(same_without_carry),
    "neighbours, several documents": _with_segments(neighbours_do_not_matter),
    "a new document resets the memory": segments_are_read_apart,
}
OF_BOTH_SIDES = bidirectional_properties.OF_BOTH_SIDES | {
    "neighbours, several documents": _with_segments(neighbours_do_not_matter),
    "a new document resets the memory": segments_are_read_apart,
}
# By what a model reads.
PROPERTIES: dict[str, dict[str, Callable[..., None]]] = {
    "past": OF_CARRIES | OF_DOCUMENTS | OF_ALL,
    "words": OF_CARRIES | OF_DOCUMENTS | OF_ALL,
    "both": OF_BOTH_SIDES | OF_ALL | bidirectional_properties.OF_HIDDEN,
    "each_side": OF_BOTH_SIDES | bidirectional_properties.OF_DIRECTIONS,
    "source": OF_CARRIES | OF_ALL | source_properties.OF_SOURCES,
}


def violation(name: str, model: LanguageModel, params: Any) -> str | None:
    """What is wrong with one of the properties of what the model reads; None if it holds.

    Raises NoEmbedding where it can't be tested.
    """
    try:
        with jax.default_matmul_precision("highest"):
            PROPERTIES[model.reads][name](model, params)
    except AssertionError as error:
        return str(error)
    except (NoEmbedding, UserError):
        raise
    except Exception as error:  # of the model's own code
        return described(error)
    return None


def _shift_embeddings(shape_BT, shifts, shapes, next_fun, args, kwargs, context):
    """Notes the shape of each embedding of the tokens, and adds the next of `shifts` to it."""
    result = next_fun(*args, **kwargs)
    embeds = isinstance(context.module, TokenEmbedding | nn.Embed)
    if embeds and context.method_name == "__call__" and result.shape[:-1] == shape_BT:
        shapes.append(result.shape)
        result = result if shifts is None else result + shifts.pop(0)
    return result
