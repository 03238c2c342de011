"""A sliding window against full attention under a band mask, and against torch's; its ring."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.errors import UserError
from lmjax.mixers.sliding_window import SlidingWindowAttention
from lmjax.models.flops import flops_of

ROWS, LENGTH, HEADS, WIDTH, WINDOW = 2, 9, 2, 6, 3
CLOSE = dict(rtol=1e-5, atol=1e-5)
x_BTD = np.random.default_rng(0).normal(size=(ROWS, LENGTH, WIDTH)).astype(np.float32)
pull_BTD = np.random.default_rng(1).normal(size=x_BTD.shape).astype(np.float32)
segment_ids_BT = np.array([[0, 0, 3, 3, 3, 3, 3, 0, 0], [5, 5, 5, 5, 5, 5, 5, 5, 6]], np.int32)
POSITIONS_BT = np.zeros((1, LENGTH), np.int32)  # not looked at


def make(window=WINDOW):
    normal = nn.initializers.normal(1.0)
    return SlidingWindowAttention(
        width=WIDTH,
        heads=HEADS,
        bias=True,
        dropout=0.0,
        initializer=normal,
        output_initializer=normal,
        window=window,
    )


@pytest.fixture(scope="module")
def params():
    return nn.meta.unbox(make().init(jax.random.key(0), x_BTD, None, POSITIONS_BT, None, True))


@jax.jit
def read(params, x_BTD, carry=None, segments=None):
    return make().apply(params, x_BTD, carry, POSITIONS_BT[:, : x_BTD.shape[1]], segments, True)


def full_attention(torch, params, x_BTD, visible_BTT):
    """torch's, under a mask."""
    part = {
        name: {key: torch.tensor(np.asarray(leaf)) for key, leaf in each.items()}
        for name, each in params["params"].items()
    }
    qkv_BTD = x_BTD @ part["qkv"]["kernel"] + part["qkv"]["bias"]
    q, k, v = (each.unflatten(2, (HEADS, -1)).transpose(1, 2) for each in qkv_BTD.chunk(3, dim=2))
    mask = torch.tensor(visible_BTT)[:, None]
    y = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    return y.transpose(1, 2).flatten(2) @ part["output"]["kernel"] + part["output"]["bias"]


@pytest.mark.parametrize("segments", [None, segment_ids_BT], ids=["whole", "segments"])
def test_values_and_gradients_are_those_of_torch_under_a_band_mask(params, segments):
    torch = pytest.importorskip("torch")
    distance_TT = np.arange(LENGTH)[:, None] - np.arange(LENGTH)[None]
    band_TT = (distance_TT >= 0) & (distance_TT < WINDOW)
    ids_BT = np.zeros((ROWS, LENGTH)) if segments is None else segments
    # A later segment of the same id is another one.
    count_BT = np.cumsum(np.diff(ids_BT, axis=1, prepend=ids_BT[:, :1]) != 0, axis=1)
    visible_BTT = band_TT & (count_BT[:, :, None] == count_BT[:, None, :])
    their_x_BTD = torch.tensor(x_BTD, requires_grad=True)
    expected_BTD = full_attention(torch, params, their_x_BTD, visible_BTT)
    expected_BTD.backward(torch.tensor(pull_BTD))

    found_BTD, pull = jax.vjp(lambda x_BTD: read(params, x_BTD, None, segments)[0], x_BTD)
    np.testing.assert_allclose(found_BTD, expected_BTD.detach(), **CLOSE)
    np.testing.assert_allclose(pull(pull_BTD)[0], their_x_BTD.grad, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("segments", [None, segment_ids_BT], ids=["whole", "segments"])
@pytest.mark.parametrize("sizes", [[LENGTH], [2, 5, 2], [1] * LENGTH], ids=str)
def test_the_ring_gives_what_the_whole_row_gives(params, segments, sizes):
    """Values and gradients, for a ring in which a row has written before and another not."""
    other_BT = np.full((ROWS, 2), 9, np.int32)
    fresh = make().initial_carry(ROWS, 0)
    _, used = read(params, x_BTD[:, :2] + 1, fresh, other_BT)
    carry = jax.tree.map(lambda a, b: jnp.stack([a[0], b[1]]), fresh, used)
    if segments is None:
        segments = np.zeros((ROWS, LENGTH), np.int32)

    def in_chunks(x_BTD):
        after, found, begin = carry, [], 0
        for size in sizes:
            part = slice(begin, begin + size)
            y_BTD, after = read(params, x_BTD[:, part], after, segments[:, part])
            found.append(y_BTD)
            begin += size
        assert jax.tree.map(jnp.shape, after) == jax.tree.map(jnp.shape, fresh)
        return jnp.concatenate(found, axis=1)

    expected_BTD, whole = jax.vjp(lambda x_BTD: read(params, x_BTD, None, segments)[0], x_BTD)
    found_BTD, chunks = jax.vjp(in_chunks, x_BTD)
    np.testing.assert_allclose(found_BTD, expected_BTD, **CLOSE)
    np.testing.assert_allclose(chunks(pull_BTD)[0], whole(pull_BTD)[0], rtol=1e-4, atol=1e-4)


def test_a_ring_without_segment_ids_goes_on_in_its_segment(params):
    expected_BTD, _ = read(params, x_BTD, None, segment_ids_BT)
    carry = make().initial_carry(ROWS, 0)
    _, carry = read(params, x_BTD[:, :4], carry, segment_ids_BT[:, :4])
    found_BTD, _ = read(params, x_BTD[:, 4:7], carry)
    np.testing.assert_allclose(found_BTD, expected_BTD[:, 4:7], **CLOSE)


def test_a_window_of_no_token_is_refused():
    with pytest.raises(UserError, match="window of sliding_window is 0"):
        make(window=0)


def test_the_work_of_a_long_row_grows_with_its_length():
    def flops(length):
        x_BTD = np.zeros((1, length, WIDTH), np.float32)

        def total(params, x_BTD):
            return make().apply(params, x_BTD, None, np.zeros((1, length)), None, True)[0].sum()

        return flops_of(jax.make_jaxpr(jax.grad(total))(params, x_BTD).jaxpr).counted

    arguments = x_BTD, None, POSITIONS_BT, None, True
    params = nn.meta.unbox(make().init(jax.random.key(0), *arguments))
    assert flops(60 * WINDOW) == 2 * flops(30 * WINDOW)
