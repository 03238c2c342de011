"""Attention: its definition against loops, its forms against each other, its cache, its limits."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.errors import UserError
from lmjax.mixers.attention import Attention, empty_cache
from lmjax.mixers.dot_product_attention import parallel, step
from lmjax.nn.position_bias import PositionBias, bucket_of

ROWS, LENGTH, HEADS, HEAD_WIDTH = 2, 6, 2, 3
WIDTH = HEADS * HEAD_WIDTH
CLOSE = dict(rtol=1e-5, atol=1e-5)

generator = np.random.default_rng(0)
q_BTHK, k_BTHK, v_BTHK, weights_BTHK = generator.normal(
    size=(4, ROWS, LENGTH, HEADS, HEAD_WIDTH)
).astype(np.float32)
x_BTD = generator.normal(size=(ROWS, LENGTH, WIDTH)).astype(np.float32)
segment_ids_BT = np.array([[0, 0, 3, 3, 0, 0], [5, 5, 5, 5, 5, 6]], np.int32)
causal_BTS = np.tril(np.ones((1, LENGTH, LENGTH), bool))
scattered_BTS = causal_BTS & (generator.random((ROWS, LENGTH, LENGTH)) < 0.5) | np.eye(
    6, dtype=bool
)


def attend_by_loops(q_HK, k_SGK, v_SGK, visible_S, bias_HS=None, sink_H=None, cap=0.0):
    """Vaswani et al. 2017, equation 1, for one token."""
    y_HK, share = np.zeros_like(q_HK), len(q_HK) // k_SGK.shape[1]
    for head in range(len(q_HK)):
        seen, group = [slot for slot in range(len(k_SGK)) if visible_S[slot]], head // share
        terms = []
        for slot in seen:
            score = q_HK[head] @ k_SGK[slot, group] / HEAD_WIDTH**0.5
            score = cap * np.tanh(score / cap) if cap else score
            terms.append(np.exp(score + (0 if bias_HS is None else bias_HS[head, slot])))
        total = sum(terms) + (0 if sink_H is None else np.exp(sink_H[head]))
        y_HK[head] = sum(
            term / total * v_SGK[slot, group] for term, slot in zip(terms, seen, strict=True)
        )
    return y_HK


# Two heads of queries for each of keys and values, and all that scores may know of.
MANY_BTHK = generator.normal(size=(ROWS, LENGTH, 2 * HEADS, HEAD_WIDTH)).astype(np.float32)
MANY = dict(
    bias=generator.normal(size=(ROWS, 2 * HEADS, LENGTH, LENGTH)).astype(np.float32),
    sink_H=generator.normal(size=2 * HEADS).astype(np.float32),
    cap=0.7,
)


def test_the_step_is_the_definition():
    visible_BS = scattered_BTS[:, -1]
    found_BHK = step(q_BTHK[:, -1], k_BTHK, v_BTHK, visible_BS)
    for row in range(ROWS):
        expected_HK = attend_by_loops(q_BTHK[row, -1], k_BTHK[row], v_BTHK[row], visible_BS[row])
        np.testing.assert_allclose(found_BHK[row], expected_HK, **CLOSE)


def test_the_step_with_groups_of_heads_a_bias_sinks_and_a_cap():
    visible_BS, bias_BHS = scattered_BTS[:, -1], MANY["bias"][:, :, -1]
    others = MANY["sink_H"], MANY["cap"]
    kinds = dict(sink_H=others[0], cap=others[1])
    found_BHK = step(MANY_BTHK[:, -1], k_BTHK, v_BTHK, visible_BS, bias_BHS, **kinds)
    for row in range(ROWS):
        read = k_BTHK[row], v_BTHK[row], visible_BS[row], bias_BHS[row]
        expected_HK = attend_by_loops(MANY_BTHK[row, -1], *read, *others)
        np.testing.assert_allclose(found_BHK[row], expected_HK, **CLOSE)


def test_the_parallel_form_with_groups_of_heads_a_bias_sinks_and_a_cap():
    """Values, and gradients by queries, keys, values, bias and sinks."""
    visible_TBS = scattered_BTS.swapaxes(0, 1)
    pull_BTHK = np.concatenate([weights_BTHK, weights_BTHK[::-1]], axis=2)

    def stepwise(q_BTHK, k_BTHK, v_BTHK, bias_BHTS, sink_H):
        one = partial(step, cap=MANY["cap"])
        each = jax.vmap(one, in_axes=(1, None, None, 0, 2, None), out_axes=1)
        return (each(q_BTHK, k_BTHK, v_BTHK, visible_TBS, bias_BHTS, sink_H) * pull_BTHK).sum()

    def whole(q_BTHK, k_BTHK, v_BTHK, bias_BHTS, sink_H):
        kinds = dict(bias_BHTS=bias_BHTS, sink_H=sink_H, cap=MANY["cap"])
        return (parallel(q_BTHK, k_BTHK, v_BTHK, scattered_BTS, **kinds) * pull_BTHK).sum()

    arguments = MANY_BTHK, k_BTHK, v_BTHK, MANY["bias"], MANY["sink_H"]
    found, expected = (
        jax.value_and_grad(form, range(len(arguments)))(*arguments) for form in (whole, stepwise)
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **CLOSE), found, expected)


@pytest.mark.parametrize("visible_BTS", [causal_BTS, scattered_BTS], ids=["causal", "scattered"])
def test_the_parallel_form_is_the_step_for_each_token(visible_BTS):
    """Values, and gradients by queries, keys and values."""
    visible_TBS = np.broadcast_to(visible_BTS, (ROWS, LENGTH, LENGTH)).swapaxes(0, 1)

    def stepwise(q_BTHK, k_BTHK, v_BTHK):
        each = jax.vmap(step, in_axes=(1, None, None, 0), out_axes=1)
        return (each(q_BTHK, k_BTHK, v_BTHK, visible_TBS) * weights_BTHK).sum()

    def whole(q_BTHK, k_BTHK, v_BTHK):
        return (parallel(q_BTHK, k_BTHK, v_BTHK, visible_BTS) * weights_BTHK).sum()

    found, expected = (
        jax.value_and_grad(form, (0, 1, 2))(q_BTHK, k_BTHK, v_BTHK) for form in (whole, stepwise)
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **CLOSE), found, expected)


def mixer(**changes):
    fields = dict(heads=HEADS, bias=True, dropout=0.0) | changes
    normal = nn.initializers.normal
    return Attention(
        width=WIDTH, initializer=normal(0.02), output_initializer=normal(1.0), **fields
    )


@jax.jit
def apply(params, x_BTD, cache=None, segments=None):
    positions_BT = jnp.arange(x_BTD.shape[1])[None]
    return mixer().apply(params, x_BTD, cache, positions_BT, segments, True)


@pytest.fixture(scope="module")
def params():
    positions_BT = np.arange(LENGTH)[None]
    boxed = mixer().init(jax.random.key(0), x_BTD, None, positions_BT, None, True)
    return jax.tree.map(lambda leaf: 20 * np.asarray(leaf), nn.meta.unbox(boxed))


@pytest.mark.parametrize("segments", [None, segment_ids_BT], ids=["whole", "segments"])
def test_the_mixer_is_projections_around_the_definition(params, segments):
    qkv, output = params["params"]["qkv"], params["params"]["output"]
    qkv_BTD = x_BTD @ qkv["kernel"] + qkv["bias"]
    q_BTHK, k_BTHK, v_BTHK = (
        part.reshape(ROWS, LENGTH, HEADS, HEAD_WIDTH) for part in np.split(qkv_BTD, 3, axis=-1)
    )
    found_BTD, _ = apply(params, x_BTD, segments=segments)
    for row in range(ROWS):
        for time in range(LENGTH):
            begin = time
            while begin and (segments is None or segments[row, begin - 1] == segments[row, time]):
                begin -= 1
            y_HK = attend_by_loops(
                q_BTHK[row, time],
                k_BTHK[row, begin : time + 1],
                v_BTHK[row, begin : time + 1],
                [True] * (time + 1 - begin),
            )
            expected_D = y_HK.ravel() @ output["kernel"] + output["bias"]
            np.testing.assert_allclose(found_BTD[row, time], expected_D, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("segments", [None, segment_ids_BT], ids=["whole", "segments"])
@pytest.mark.parametrize("sizes", [[LENGTH], [4, 2], [1] * LENGTH], ids=str)
def test_the_cache_gives_what_the_whole_row_gives(params, segments, sizes):
    """Also with more slots than tokens, and for rows that stand at different slots."""
    expected_BTD, nothing = apply(params, x_BTD, segments=segments)
    assert nothing is None
    slots, ahead = LENGTH + 3, 2
    cache = empty_cache(ROWS, slots, HEADS, HEAD_WIDTH)
    # The second row has read two tokens of another segment before.
    _, moved = apply(params, x_BTD[:, :ahead], cache, np.full((ROWS, ahead), 9, np.int32))
    cache = jax.tree.map(lambda fresh, used: jnp.stack([fresh[0], used[1]]), cache, moved)
    if segments is None:
        segments = np.zeros((ROWS, LENGTH), np.int32)
    begin, found = 0, []
    for size in sizes:
        part = slice(begin, begin + size)
        y_BTD, cache = apply(params, x_BTD[:, part], cache, segments[:, part])
        found.append(y_BTD)
        begin += size
    np.testing.assert_allclose(np.concatenate(found, axis=1), expected_BTD, **CLOSE)
    np.testing.assert_array_equal(cache.length_B, [LENGTH, LENGTH + ahead])
    np.testing.assert_array_equal(cache.k_BGSK[0, :, LENGTH:], 0)


def test_a_cache_without_segment_ids_goes_on_in_its_segment(params):
    expected_BTD, _ = apply(params, x_BTD, segments=segment_ids_BT[[1, 1]])
    cache = empty_cache(ROWS, LENGTH, HEADS, HEAD_WIDTH)
    _, cache = apply(params, x_BTD[:, :2], cache, segment_ids_BT[[1, 1], :2])
    found_BTD, cache = apply(params, x_BTD[:, 2:5], cache)
    np.testing.assert_allclose(found_BTD, expected_BTD[:, 2:5], **CLOSE)
    np.testing.assert_array_equal(cache.segment_id_B, [5, 5])


def test_a_token_without_a_free_slot_is_nan_and_spoils_no_other(params):
    expected_BTD, _ = apply(params, x_BTD)
    cache = empty_cache(ROWS, 4, HEADS, HEAD_WIDTH)
    whole_BTD, whole = apply(params, x_BTD, cache)
    np.testing.assert_allclose(whole_BTD[:, :4], expected_BTD[:, :4], **CLOSE)
    assert np.isnan(whole_BTD[:, 4:]).all()
    for time in range(LENGTH):
        y_BTD, cache = apply(params, x_BTD[:, time : time + 1], cache)
        assert np.isnan(y_BTD).any() == (time >= 4)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **CLOSE), cache, whole)


def test_dropout_falls_on_each_attention_weight_by_itself(params):
    """A token's first weight is its only one: each head's value is dropped or doubled."""

    identity = {"output": {"kernel": np.eye(WIDTH), "bias": np.zeros(WIDTH)}}
    identity = {"params": params["params"] | identity}
    positions_BT = np.arange(LENGTH)[None]

    @jax.jit
    def draw(key):
        arguments = x_BTD, None, positions_BT, None, False
        return mixer(dropout=0.5).apply(identity, *arguments, rngs={"dropout": key})[0]

    drawn_RBD = np.stack([draw(jax.random.key(seed))[:, 0] for seed in range(100)])
    factors_RBD = drawn_RBD / apply(identity, x_BTD)[0][None, :, 0]
    factors_RBHK = factors_RBD.reshape(-1, ROWS, HEADS, HEAD_WIDTH)
    for factors_RBH in np.moveaxis(factors_RBHK, -1, 0):
        np.testing.assert_allclose(factors_RBH, np.where(factors_RBHK[..., 0] > 1, 2, 0), atol=1e-4)
    assert 0.35 < (factors_RBHK[..., 0] > 1).mean() < 0.65


def test_relative_positions_are_a_bias_by_distance_that_each_layer_learns():
    sizes = dict(position_buckets=4, position_farthest=3)
    own = mixer(position="relative", **sizes)
    arguments = None, np.arange(LENGTH)[None], None, True
    boxed = own.init(jax.random.key(0), x_BTD, *arguments)
    params = jax.tree.map(lambda leaf: 20 * leaf, nn.meta.unbox(boxed))
    found_BTD, _ = own.apply(params, x_BTD, *arguments)
    table_NH = params["params"].pop("position_bias")["embedding"]
    distance_N = np.arange(-3, 4)
    given = PositionBias(table_NH[bucket_of(distance_N, 4, 3, both_sides=False)])
    expected_BTD, _ = mixer().apply(params, x_BTD, *arguments, given)
    np.testing.assert_allclose(found_BTD, expected_BTD, **CLOSE)
    assert np.abs(found_BTD - mixer().apply(params, x_BTD, *arguments)[0]).max() > 1e-2


def test_in_chunks_each_weight_is_dropped_by_itself_too():
    """Scores of zero and values that name their slot: y are the weights of one head."""
    size, chunk = LENGTH, 2
    identity = np.eye(size, dtype=np.float32)
    kernel = np.concatenate([np.zeros((size, 2 * size)), identity], axis=1)
    params = {"params": {"qkv": {"kernel": kernel}, "output": {"kernel": identity}}}
    one_head = mixer(heads=1, bias=False, dropout=0.5, chunk=chunk)

    @jax.jit
    def draw(key):
        arguments = identity[None], None, np.arange(size)[None], None, False
        return one_head.apply(params, *arguments, rngs={"dropout": key})[0][0]

    drawn_RTS = np.stack([draw(jax.random.key(seed)) for seed in range(100)])
    kept_RTS = drawn_RTS > 0
    factor_RTS = drawn_RTS * np.arange(1, size + 1)[None, :, None]
    np.testing.assert_allclose(factor_RTS, np.where(kept_RTS, 2, 0), rtol=1e-5)
    seen_TS = np.tri(size, dtype=bool)
    assert 0.4 < kept_RTS[:, seen_TS].mean() < 0.6
    for time in range(chunk, size):
        of_both = kept_RTS[:, [time - chunk, time], 0]
        assert 0.3 < (of_both[:, 0] == of_both[:, 1]).mean() < 0.7


def test_the_memory_of_a_long_row_is_that_of_a_chunk():
    """Bytes that XLA sets aside for values and gradients, beside one array of all scores."""
    length = 512
    x_BTD = np.zeros((1, length, WIDTH), np.float32)

    def total(params, x_BTD, chunk):
        positions_BT = np.arange(length)[None]
        return mixer(chunk=chunk).apply(params, x_BTD, None, positions_BT, None, True)[0].sum()

    arguments = x_BTD, None, np.arange(length)[None], None, True
    params = nn.meta.unbox(mixer().init(jax.random.key(0), *arguments))

    def bytes_of(chunk):
        program = jax.jit(jax.grad(partial(total, chunk=chunk))).lower(params, x_BTD)
        return program.compile().memory_analysis().temp_size_in_bytes

    scores = 4 * HEADS * length**2
    assert bytes_of(length) > scores > 2 * bytes_of(32)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(key_value_heads=3), "heads 2 of attention are not a multiple of key_value_heads 3"),
        (dict(position="rotory"), "did you mean 'rotary'"),
        (dict(position="rotary"), "a head has 3 numbers to be turned"),
        (dict(position="rotary", rotary_share=1.2), "rotary_share is 1.2"),
        (dict(score_cap=-1.0), "score_cap is -1.0"),
        (dict(chunk=0), "the chunk of attention is 0"),
    ],
)
def test_options_that_make_no_sense_are_refused(changes, message):
    with pytest.raises(UserError, match=message):
        mixer(**changes)
