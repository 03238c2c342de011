"""Attention that sees both sides or another text, scores with a bias: against loops in NumPy."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.mixers.attention import Attention
from lmjax.mixers.bidirectional_attention import BidirectionalAttention, padding_apart
from lmjax.mixers.cross_attention import CrossAttention
from lmjax.nn.position_bias import PositionBias

ROWS, LENGTH, HEADS, HEAD_WIDTH, WIDTH = 2, 5, 2, 3, 4
CLOSE = dict(rtol=1e-4, atol=1e-5)
generator = np.random.default_rng(0)
x_BTD = generator.normal(size=(ROWS, LENGTH, WIDTH)).astype(np.float32)
source_BSD = generator.normal(size=(ROWS, LENGTH + 1, WIDTH)).astype(np.float32)
weights_BT = np.float32([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]])
bias = PositionBias(generator.normal(size=(2 * 3 + 1, HEADS)).astype(np.float32))
positions_BT = np.arange(LENGTH)[None]


def make(kind, **changes):
    normal = nn.initializers.normal(1.0)
    fields = dict(heads=HEADS, head_width=HEAD_WIDTH, bias=True, dropout=0.0) | changes
    return kind(width=WIDTH, initializer=normal, output_initializer=normal, **fields)


def attend(q_HK, k_SHK, v_SHK, bias_HS, scale):
    """One token's heads over the S that it sees, one behind the other."""
    found = []
    for head in range(HEADS):
        scores_S = k_SHK[:, head] @ q_HK[head] * scale + bias_HS[head]
        weights_S = np.exp(scores_S) / np.exp(scores_S).sum()
        found.append(weights_S @ v_SHK[:, head])
    return np.concatenate(found)


def plain(params):
    return jax.tree.map(np.asarray, nn.meta.unbox(params)["params"])


def split(x, params, parts=1):
    y = x @ params["kernel"] + params["bias"]
    return np.split(y.reshape(*y.shape[:2], parts * HEADS, HEAD_WIDTH), parts, axis=2)


@pytest.mark.parametrize("scaled", [True, False])
@pytest.mark.parametrize("kind", [Attention, BidirectionalAttention])
def test_a_token_sees_its_side_of_its_segment_with_the_bias_of_the_distance(kind, scaled):
    mixer = make(kind, scaled=scaled)
    arguments = x_BTD, None, positions_BT, padding_apart(weights_BT), True, bias
    params = mixer.init(jax.random.key(0), *arguments)
    found_BTD, carry = mixer.apply(params, *arguments)
    assert carry is None
    params = plain(params)
    q_BTHK, k_BTHK, v_BTHK = split(x_BTD, params["qkv"], 3)
    scale = HEAD_WIDTH**-0.5 if scaled else 1.0
    for row, length in enumerate([3, 5]):
        for time in range(length):
            seen = slice(0, length if kind is BidirectionalAttention else time + 1)
            distance_S = np.clip(np.arange(LENGTH)[seen] - time, -3, 3)
            bias_HS = bias.by_distance_NH[distance_S + 3].T
            y_E = attend(q_BTHK[row, time], k_BTHK[row, seen], v_BTHK[row, seen], bias_HS, scale)
            expected_D = y_E @ params["output"]["kernel"] + params["output"]["bias"]
            np.testing.assert_allclose(found_BTD[row, time], expected_D, **CLOSE)


def test_the_bias_is_that_of_whole_rows_token_by_token_from_a_cache():
    mixer = make(Attention)
    arguments = positions_BT, None, True, bias
    params = mixer.init(jax.random.key(0), x_BTD, None, *arguments)
    expected_BTD, _ = mixer.apply(params, x_BTD, None, *arguments)
    apply = jax.jit(mixer.apply)
    carry, found = mixer.initial_carry(ROWS, LENGTH + 2), []
    for part in (slice(0, 2), slice(2, 3), slice(3, 5)):
        y_BTD, carry = apply(params, x_BTD[:, part], carry, *arguments)
        found.append(y_BTD)
    np.testing.assert_allclose(np.concatenate(found, axis=1), expected_BTD, **CLOSE)


@pytest.mark.parametrize("scaled", [True, False])
def test_a_source_is_attended_to_but_for_its_padding_and_nothing_gives_zeros(scaled):
    attention = make(CrossAttention, scaled=scaled)
    visible_BS = np.arange(LENGTH + 1)[None] < np.array([[4], [0]])

    def read(attention, x_BTD, source_BSD):
        return attention(x_BTD, attention.remember(source_BSD, visible_BS), True)

    params = attention.init(jax.random.key(0), x_BTD, source_BSD, method=read)
    found_BTD = attention.apply(params, x_BTD, source_BSD, method=read)
    ours = plain(params)
    (q_BTHK,) = split(x_BTD, ours["query"])
    k_BSHK, v_BSHK = split(source_BSD, ours["key_value"], 2)
    scale, no_bias_HS = HEAD_WIDTH**-0.5 if scaled else 1.0, np.zeros((HEADS, 4))
    for time in range(LENGTH):
        y_E = attend(q_BTHK[0, time], k_BSHK[0, :4], v_BSHK[0, :4], no_bias_HS, scale)
        expected_D = y_E @ ours["output"]["kernel"] + ours["output"]["bias"]
        np.testing.assert_allclose(found_BTD[0, time], expected_D, **CLOSE)
    np.testing.assert_array_equal(found_BTD[1], np.tile(ours["output"]["bias"], (LENGTH, 1)))

    def total(source_BSD):
        return attention.apply(params, x_BTD, source_BSD, method=read).sum()

    gradient_BSD = jax.jit(jax.grad(total))(source_BSD)
    np.testing.assert_array_equal(np.abs(gradient_BSD).sum(-1) > 0, visible_BS)


def test_scores_that_are_not_scaled_begin_as_those_that_are():
    arguments = x_BTD, None, positions_BT, None, True
    both = [make(Attention, scaled=scaled) for scaled in (True, False)]
    params = [nn.meta.unbox(each.init(jax.random.key(0), *arguments)) for each in both]
    scaled_BTD, plain_BTD = (
        each.apply(one, *arguments)[0] for each, one in zip(both, params, strict=True)
    )
    np.testing.assert_allclose(plain_BTD, scaled_BTD, **CLOSE)
    assert np.abs(both[1].apply(params[0], *arguments)[0] - scaled_BTD).max() > 1e-2


def test_a_given_head_width_needs_no_width_that_the_heads_divide():
    assert make(Attention, heads=3, head_width=2).initial_carry(1, 4).k_BGSK.shape == (1, 3, 4, 2)
    assert jnp.shape(make(Attention, head_width=0).initial_carry(1, 4).k_BGSK) == (1, 2, 4, 2)
