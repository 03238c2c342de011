"""What the checks of properties read a model with: parameters, random rows, and comparisons."""

from functools import partial
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from lmjax.data.streams import Counts, Segments, TokenStream, with_source
from lmjax.errors import UserError
from lmjax.models.contract import LanguageModel, initial_carry

TOLERANCE = 2e-5  # of numbers, and of their size where that is above 1
ROWS, LENGTH = 3, 11
SOURCE_LENGTHS = (5, 3, 4)  # of the rows' sources
SPREAD = 0.3  # of what is added to initial parameters, so that each of them matters


def distinct_parameters(model: LanguageModel) -> Any:
    """Parameters far enough from zero to show a difference: drawn, or counted on random tokens.

    Raises UserError for a model that can't be initialized, or not read enough tokens.
    """
    if model.longest_context is not None and model.longest_context < LENGTH:
        raise UserError(f"the properties are tested on {LENGTH} tokens; give a longer context")
    if model.is_counted:
        return model.fit([drawn_stream(model)])
    try:
        params = jax.jit(model.init)(jax.random.key(0), draw_tokens(model, rows=1))
    except UserError:
        raise
    except Exception as error:  # of the model's own code
        raise UserError(f"the model cannot read a first row: {described(error)}") from error
    return _moved(nn.meta.unbox(params))


@jax.jit
def _moved(params):
    leaves, structure = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(1), len(leaves))
    return structure.unflatten(
        [
            leaf + SPREAD * jax.random.normal(key, leaf.shape, leaf.dtype)
            for key, leaf in zip(keys, leaves, strict=True)
        ]
    )


def drawn_stream(model: LanguageModel) -> TokenStream:
    """A random text or, of a model that reads a source, random labels of random sources."""

    def stream(tokens_N, starts_M):
        return TokenStream(
            tokens_N, starts_M, Counts(), "text-tokens", 0, Segments.of_rows([(0, 0, 0)])
        )

    tokens_N = draw_tokens(model, seed=1, rows=1, length=300)[0]
    if model.reads != "source":
        return stream(tokens_N, np.zeros(1, np.int64))
    sources_MS = np.random.default_rng(2).integers(
        model.source_vocabulary_size, size=(len(tokens_N), 5), dtype=np.int32
    )
    starts_M = np.arange(len(tokens_N))
    source = stream(sources_MS.ravel(), starts_M * sources_MS.shape[1])
    return with_source(stream(tokens_N, starts_M), source)


@partial(jax.jit, static_argnames="model")
def read(model, params, tokens_BT, carry=None, segment_ids_BT=None, source=None):
    """`logits_BTV, carry`; `source` are the keyword arguments of one that is read now."""
    context = {} if segment_ids_BT is None else {"segment_ids_BT": segment_ids_BT}
    return model.apply(params, tokens_BT, carry, **context, **(source or {}))


@partial(jax.jit, static_argnames="model")
def log_probs(model, params, tokens_BT, targets_BT, source=None):
    """`log_probs_BT, carry`."""
    return model.apply(params, tokens_BT, targets_BT, method="log_probs", **(source or {}))


def read_in_chunks(model, params, tokens_BT, segments, sizes, source=None):
    """`logits_BTV, carry` of tokens that are read so many at a time, from an initial carry on."""
    carry = initial_carry(model, params, *tokens_BT.shape, **(source or {}))
    logits, begin = [], 0
    for size in sizes:
        part = slice(begin, begin + size)
        segment_ids_BT = None if segments is None else segments[:, part]
        logits_BTV, carry = read(model, params, tokens_BT[:, part], carry, segment_ids_BT)
        logits.append(logits_BTV)
        begin += size
    return np.concatenate(logits, axis=1), carry


def draw_tokens(model, seed=0, rows=ROWS, length=LENGTH):
    """Random `tokens_BT`."""
    generator = np.random.default_rng(seed)
    return generator.integers(0, model.vocabulary_size, (rows, length)).astype(np.int32)


def draw_segments(seed=0, rows=ROWS, length=LENGTH):
    """Random `segment_ids_BT` that begin with the initial segment 0 or with another one."""
    generator = np.random.default_rng(seed)
    return np.cumsum(generator.random((rows, length)) < 0.3, axis=1).astype(np.int32)


def draw_source(model, seed=0):
    """The keyword arguments of a random source, padded to one length; none for other models."""
    if model.reads != "source":
        return {}
    shape_BS = ROWS, max(SOURCE_LENGTHS)
    source_BS = np.random.default_rng(seed).integers(0, model.source_vocabulary_size, shape_BS)
    places_BS = np.broadcast_to(np.arange(shape_BS[1]), shape_BS)
    weights_BS = (places_BS < np.array(SOURCE_LENGTHS)[:, None]).astype(np.float32)
    return {"source_BS": source_BS.astype(np.int32), "source_weights_BS": weights_BS}


def rows_of(source, rows):
    """The source of some rows."""
    return {name: leaf[rows] for name, leaf in source.items()}


def assert_close(found, expected, message: str) -> None:
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape, f"{message}: {found.shape}, not {expected.shape}"
    close = np.isclose(found, expected, rtol=TOLERANCE, atol=TOLERANCE)
    assert close.all(), f"{message} (by up to {np.abs(found - expected)[~close].max():.1g})"


def assert_same_shapes(found, expected, message: str) -> None:
    described = [
        jax.tree.map(lambda leaf: f"{leaf.dtype}{list(leaf.shape)}", tree)
        for tree in (found, expected)
    ]
    assert described[0] == described[1], (
        f"{message} is {described[0]}, not {described[1]} as initial_carry makes it"
    )


def described(error: Exception) -> str:
    """An error of a model's own code in one line."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"
