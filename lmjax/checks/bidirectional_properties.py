"""What holds for every model that reads on both sides of a target.

Each raises AssertionError, with what is wrong, where the property does not hold.
"""

import jax
import numpy as np

from lmjax.checks.probes import (
    LENGTH,
    ROWS,
    TOLERANCE,
    assert_close,
    draw_tokens,
    log_probs,
    read,
)
from lmjax.models.contract import initial_carry

PADDING = -1


def nothing_is_carried(model, params):
    """There is no carry before reading, and none after it."""
    tokens_BT = draw_tokens(model)
    fresh = initial_carry(model, params, *tokens_BT.shape)
    assert fresh is None, "initial_carry makes something, where all of a text is read at once"
    _, carry = read(model, params, tokens_BT)
    assert carry is None, "a carry is returned, where all of a text is read at once"


def padding_changes_nothing(model, params):
    """Any tokens of another segment behind a text give the logits of the text alone."""
    tokens_BT, length = draw_tokens(model), LENGTH - 4
    segment_ids_BT = np.where(np.arange(LENGTH) < length, 0, PADDING)[None].repeat(ROWS, axis=0)
    segment_ids_BT = segment_ids_BT.astype(np.int32)
    alone_BTV, _ = read(model, params, tokens_BT[:, :length])
    for shift in (0, 1):
        other_BT = tokens_BT.copy()
        other_BT[:, length:] = (other_BT[:, length:] + shift) % model.vocabulary_size
        padded_BTV, _ = read(model, params, other_BT, None, segment_ids_BT)
        assert np.isfinite(padded_BTV).all(), "logits are not finite where there is padding"
        message = "logits change with padding behind the text"
        assert_close(padded_BTV[:, :length], alone_BTV, message)


def all_others_count(model, params):
    """Another token at any place changes the logits at every other place of the text."""
    tokens_BT = draw_tokens(model, rows=1)
    logits_BTV, _ = read(model, params, tokens_BT)
    for place in range(LENGTH):
        differs_T = _changed_places(model, params, tokens_BT, place, logits_BTV)
        differs_T[place] = True
        silent = np.flatnonzero(~differs_T)
        assert not len(silent), (
            f"logits at place {silent[0] + 1} don't depend on the token at place {place + 1}"
        )


def targets_tell_nothing(model, params):
    """The log-probability of a target does not depend on the targets at other places."""
    tokens_BT, targets_BT = draw_tokens(model), draw_tokens(model, seed=1)
    before_BT, _ = log_probs(model, params, tokens_BT, targets_BT)
    other_BT = (targets_BT + 1) % model.vocabulary_size
    for place in range(LENGTH):
        mixed_BT = other_BT.copy()
        mixed_BT[:, place] = targets_BT[:, place]
        after_BT, _ = log_probs(model, params, tokens_BT, mixed_BT)
        message = "a target's log-probability changes with targets that are hidden elsewhere"
        assert_close(after_BT[:, place], before_BT[:, place], message)


def chosen_places_as_all(model, params):
    """Logits of chosen places alone are those of all places there."""
    tokens_BT = draw_tokens(model)
    logits_BTV, _ = read(model, params, tokens_BT)
    places_BP = np.stack([np.arange(row, LENGTH, 3)[:3] for row in range(ROWS)])
    logits_BPV, _ = model.apply(params, tokens_BT, places_BP=places_BP)
    expected_BPV = np.take_along_axis(np.asarray(logits_BTV), places_BP[..., None], axis=1)
    assert_close(logits_BPV, expected_BPV, "with places_BP, logits are others")


def own_token_is_not_read(model, params):
    """Another token at a place changes no logit at that place."""
    tokens_BT = draw_tokens(model, rows=1)
    logits_BTV, _ = read(model, params, tokens_BT)
    for place in range(LENGTH):
        differs_T = _changed_places(model, params, tokens_BT, place, logits_BTV)
        assert not differs_T[place], "logits depend on the token that they are to tell"


def each_direction_reads_its_side(model, params):
    """The logits of either direction are of the tokens of its side, and probabilities of theirs."""
    tokens_BT, targets_BT = draw_tokens(model), draw_tokens(model, seed=1)
    both = model.apply(params, tokens_BT, method="each_direction")
    for place in range(LENGTH):
        other_BT = tokens_BT.copy()
        other_BT[:, place] = (other_BT[:, place] + 1) % model.vocabulary_size
        changed = model.apply(params, other_BT, method="each_direction")
        for direction, unread in enumerate((slice(0, place + 1), slice(place, LENGTH))):
            message = "a direction's logits change with its own token or one of the other side"
            assert_close(changed[direction][:, unread], both[direction][:, unread], message)
    each_BTV = [np.asarray(jax.nn.log_softmax(logits_BTV)) for logits_BTV in both]
    total_BT = np.take_along_axis(sum(each_BTV), targets_BT[..., None], axis=2)[..., 0]
    found_BT, _ = log_probs(model, params, tokens_BT, targets_BT)
    assert_close(found_BT, total_BT, "log_probs are not the sum of both directions'")


def _changed_places(model, params, tokens_BT, place, logits_BTV):
    """`differs_T`: at which places of the first row logits change with the token at `place`."""
    other_BT = tokens_BT.copy()
    other_BT[:, place] = (other_BT[:, place] + 1) % model.vocabulary_size
    changed_BTV, _ = read(model, params, other_BT)
    return np.abs(np.asarray(changed_BTV) - logits_BTV)[0].max(axis=1) > TOLERANCE


OF_BOTH_SIDES = {
    "nothing is carried": nothing_is_carried,
    "padding changes nothing": padding_changes_nothing,
    "all other tokens count": all_others_count,
    "a target tells nothing of others": targets_tell_nothing,
}
OF_HIDDEN = {"chosen places as among all": chosen_places_as_all}
OF_DIRECTIONS = {
    "no place reads its own token": own_token_is_not_read,
    "each direction reads its side": each_direction_reads_its_side,
}
