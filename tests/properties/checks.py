"""What holds for every language model, as functions of a model and its parameters.

Each raises AssertionError where the property does not hold.
"""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from lmjax.models.contract import initial_carry
from lmjax.nn.embeddings import TokenEmbedding

CLOSE = dict(rtol=2e-5, atol=2e-5)
ROWS, LENGTH = 3, 11


@partial(jax.jit, static_argnames="model")
def read(model, params, tokens_BT, carry=None, segment_ids_BT=None):
    """`logits_BTV, carry`."""
    return model.apply(params, tokens_BT, carry, segment_ids_BT=segment_ids_BT)


@partial(jax.jit, static_argnames="model")
def log_probs(model, params, tokens_BT, targets_BT):
    """`log_probs_BT, carry`."""
    return model.apply(params, tokens_BT, targets_BT, method="log_probs")


def draw_tokens(model, seed=0, rows=ROWS, length=LENGTH):
    """Random `tokens_BT`."""
    generator = np.random.default_rng(seed)
    return generator.integers(0, model.vocabulary_size, (rows, length)).astype(np.int32)


def draw_segments(seed=0, rows=ROWS, length=LENGTH):
    """Random `segment_ids_BT` that begin with the initial segment 0 or with another one."""
    generator = np.random.default_rng(seed)
    return np.cumsum(generator.random((rows, length)) < 0.3, axis=1).astype(np.int32)


def same_in_chunks(model, params, segments=None):
    """All tokens at once = in two chunks = one at a time, for logits and the final carry."""
    tokens_BT = draw_tokens(model)
    whole = _read_in_chunks(model, params, tokens_BT, segments, [LENGTH])
    for sizes in ([4, LENGTH - 4], [1] * LENGTH):
        chunked = _read_in_chunks(model, params, tokens_BT, segments, sizes)
        np.testing.assert_allclose(chunked[0], whole[0], **CLOSE)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **CLOSE), chunked[1], whole[1])


def same_without_carry(model, params, segments=None):
    """A carry of None gives the logits of an empty one, and None back."""
    tokens_BT = draw_tokens(model)
    whole, _ = _read_in_chunks(model, params, tokens_BT, segments, [LENGTH])
    logits_BTV, carry = read(model, params, tokens_BT, None, segments)
    assert carry is None
    np.testing.assert_allclose(logits_BTV, whole, **CLOSE)


def rows_lead_every_carry(model, params):
    """Every leaf of a carry leads with the batch, before and after reading."""
    tokens_BT = draw_tokens(model)
    fresh = initial_carry(model, params, ROWS, LENGTH)
    _, carry = _read_in_chunks(model, params, tokens_BT, None, [LENGTH])
    for tree in (fresh, carry):
        assert all(leaf.shape[:1] == (ROWS,) for leaf in jax.tree.leaves(tree))
    shapes, fresh = (jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), t) for t in (carry, fresh))
    assert shapes == fresh


def no_token_sees_a_later_one(model, params):
    """Other later tokens change no logit."""
    tokens_BT = draw_tokens(model)
    logits_BTV, _ = read(model, params, tokens_BT)
    for time in range(LENGTH - 1):
        other_BT = tokens_BT.copy()
        other_BT[:, time + 1 :] = (other_BT[:, time + 1 :] + 1) % model.vocabulary_size
        changed_BTV, _ = read(model, params, other_BT)
        before = slice(0, time + 1)
        np.testing.assert_allclose(changed_BTV[:, before], logits_BTV[:, before], **CLOSE)


def no_gradient_from_a_later_token(model, params):
    """The Jacobian of logits by embeddings is zero for later tokens, and not for earlier ones."""
    tokens_BT = draw_tokens(model, rows=1)

    def logits_TV(shift_BTD):
        def add(next_fun, args, kwargs, context):
            result = next_fun(*args, **kwargs)
            embeds = isinstance(context.module, TokenEmbedding)
            return result + shift_BTD if embeds and context.method_name == "__call__" else result

        with nn.intercept_methods(add):
            return model.apply(params, tokens_BT)[0][0]

    width = _embedding_width(model, params, tokens_BT)
    jacobian_TVTD = jax.jacobian(logits_TV)(jnp.zeros((1, LENGTH, width)))[:, :, 0]
    influence_TT = np.abs(jacobian_TVTD).sum(axis=(1, 3))
    assert (np.triu(influence_TT, k=1) == 0).all()
    assert (np.diag(influence_TT) > 0).all()


def neighbours_do_not_matter(model, params, segments=None):
    """A row's logits are the same whatever the other rows hold."""
    tokens_BT = draw_tokens(model)
    alone, _ = read(model, params, tokens_BT[:1], None, None if segments is None else segments[:1])
    together, _ = read(model, params, tokens_BT, None, segments)
    np.testing.assert_allclose(together[:1], alone, **CLOSE)


def segments_are_read_apart(model, params):
    """Two documents in one row give the logits of each on its own, with and without a carry."""
    tokens_BT = draw_tokens(model)
    first = LENGTH // 2
    segment_ids_BT = np.repeat([[1] * first + [2] * (LENGTH - first)], ROWS, 0).astype(np.int32)
    apart = [read(model, params, part)[0] for part in np.split(tokens_BT, [first], axis=1)]
    apart_BTV = np.concatenate(apart, axis=1)
    packed_BTV, _ = read(model, params, tokens_BT, None, segment_ids_BT)
    np.testing.assert_allclose(packed_BTV, apart_BTV, **CLOSE)
    carried_BTV, _ = _read_in_chunks(model, params, tokens_BT, segment_ids_BT, [LENGTH])
    np.testing.assert_allclose(carried_BTV, apart_BTV, **CLOSE)


def probabilities_sum_to_one(model, params):
    """Over every next token, by `log_probs` itself, and by the logits."""
    tokens_BT = draw_tokens(model, rows=2, length=4)
    logits_BTV, _ = read(model, params, tokens_BT)
    normalised_BTV = jax.nn.log_softmax(logits_BTV)
    total_BT = np.zeros(tokens_BT.shape)
    for token in range(model.vocabulary_size):
        targets_BT = np.full_like(tokens_BT, token)
        log_probs_BT, _ = log_probs(model, params, tokens_BT, targets_BT)
        np.testing.assert_allclose(log_probs_BT, normalised_BTV[:, :, token], **CLOSE)
        total_BT += np.exp(np.asarray(log_probs_BT, np.float64))
    np.testing.assert_allclose(total_BT, 1, atol=1e-5)


def _read_in_chunks(model, params, tokens_BT, segments, sizes):
    carry, logits, begin = initial_carry(model, params, *tokens_BT.shape), [], 0
    for size in sizes:
        part = slice(begin, begin + size)
        segment_ids_BT = None if segments is None else segments[:, part]
        logits_BTV, carry = read(model, params, tokens_BT[:, part], carry, segment_ids_BT)
        logits.append(logits_BTV)
        begin += size
    return np.concatenate(logits, axis=1), carry


def _embedding_width(model, params, tokens_BT):
    widths = []

    def look(next_fun, args, kwargs, context):
        result = next_fun(*args, **kwargs)
        if isinstance(context.module, TokenEmbedding) and context.method_name == "__call__":
            widths.append(result.shape[-1])
        return result

    with nn.intercept_methods(look):
        jax.eval_shape(lambda: model.apply(params, tokens_BT))
    (width,) = widths
    return width
