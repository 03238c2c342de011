"""What holds, beside properties of all, for every model that reads a source.

Each raises AssertionError, with what is wrong, where the property does not hold.
"""

import numpy as np

from lmjax.checks.probes import (
    SOURCE_LENGTHS,
    assert_close,
    draw_source,
    draw_tokens,
    read,
    rows_of,
)

SEEN = 1e-6  # a difference that is no rounding


def padding_changes_nothing(model, params):
    """Any tokens of weight 0 behind a source give the logits of the source alone."""
    tokens_BT, source = draw_tokens(model), draw_source(model)
    logits_BTV, _ = read(model, params, tokens_BT, source=source)
    other = draw_source(model, seed=1)
    more = {
        "source_BS": np.concatenate([_with_other_padding(source, other), other["source_BS"]], 1),
        "source_weights_BS": np.pad(
            source["source_weights_BS"], ((0, 0), (0, other["source_BS"].shape[1]))
        ),
    }
    padded_BTV, _ = read(model, params, tokens_BT, source=more)
    assert_close(padded_BTV, logits_BTV, "logits change with the padding of the source")
    shortest = slice(np.argmin(SOURCE_LENGTHS), np.argmin(SOURCE_LENGTHS) + 1)
    alone = {
        name: leaf[:, : min(SOURCE_LENGTHS)] for name, leaf in rows_of(source, shortest).items()
    }
    alone_BTV, _ = read(model, params, tokens_BT[shortest], source=alone)
    message = "a padded source gives other logits than the source alone"
    assert_close(logits_BTV[shortest], alone_BTV, message)


def no_source_is_all_padding(model, params):
    """Without a source the logits are those of a source that is all padding, and are finite."""
    tokens_BT, source = draw_tokens(model), draw_source(model)
    logits_BTV, _ = read(model, params, tokens_BT)
    assert np.isfinite(logits_BTV).all(), "without a source, logits are not finite"
    nothing = source | {"source_weights_BS": np.zeros_like(source["source_weights_BS"])}
    padding_BTV, _ = read(model, params, tokens_BT, source=nothing)
    message = "a source that is all padding gives other logits than none"
    assert_close(padding_BTV, logits_BTV, message)


def rows_keep_their_source(model, params):
    """Rows in another order, with their sources, give the same logits in that order."""
    tokens_BT, source = draw_tokens(model), draw_source(model)
    logits_BTV, _ = read(model, params, tokens_BT, source=source)
    order_B = np.roll(np.arange(len(tokens_BT)), 1)
    moved_BTV, _ = read(model, params, tokens_BT[order_B], source=rows_of(source, order_B))
    message = "a row's logits change with its place in the batch"
    assert_close(moved_BTV, np.asarray(logits_BTV)[order_B], message)


def every_source_token_counts(model, params):
    """Another token at any place of a row's source changes this row's first logits, and no others.

    The first logits are those after one token of the target.
    """
    tokens_BT, source = draw_tokens(model), draw_source(model)
    logits_BTV, _ = read(model, params, tokens_BT, source=source)
    for row, length in enumerate(SOURCE_LENGTHS):
        for place in range(length):
            other_BS = source["source_BS"].copy()
            other_BS[row, place] = (other_BS[row, place] + 1) % model.source_vocabulary_size
            changed_BTV, _ = read(model, params, tokens_BT, source=source | {"source_BS": other_BS})
            differs_B = np.abs(np.asarray(changed_BTV - logits_BTV)[:, 0]).max(axis=1) > SEEN
            assert differs_B[row], f"logits don't depend on the {place + 1}th token of the source"
            assert differs_B.sum() == 1, "a row's logits depend on the source of another row"


def _with_other_padding(source, other):
    visible_BS = source["source_weights_BS"] > 0
    return np.where(visible_BS, source["source_BS"], other["source_BS"])


OF_SOURCES = {
    "the padding of a source changes nothing": padding_changes_nothing,
    "no source is one that is all padding": no_source_is_all_padding,
    "each row reads its own source": rows_keep_their_source,
    "every token of the source counts": every_source_token_counts,
}
