"""Layers unrolled or in a loop, kept or computed anew: one function of the same parameters."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.errors import UserError
from lmjax.mixers.differential_attention import DifferentialAttention
from lmjax.models.contract import initial_carry
from lmjax.models.stack import Stack
from lmjax.nn.extras import Collecting
from lmjax.nn.norms import LayerNorm
from tests.properties.variants import VOCABULARY, build

LAYERS, PERIOD = 4, 2
FIELDS = dict(layers=LAYERS, width=8, heads=2, context_length=8, pattern=("attention", "recurrent"))
tokens_BT, targets_BT = np.random.default_rng(0).integers(0, VOCABULARY, (2, 2, 8), np.int32)
segment_ids_BT = np.array([[0, 0, 0, 1, 1, 1, 1, 1], [0, 0, 2, 2, 2, 2, 3, 3]], np.int32)


def make(**changes):
    return build("transformer", FIELDS | changes)


@pytest.fixture(scope="module")
def params():
    """Of unrolled layers, ten times as large as they are drawn."""
    return drawn(make())


def drawn(model):
    """Parameters ten times as large as they are drawn."""
    boxed = jax.jit(model.init)(jax.random.key(0), tokens_BT)
    return jax.tree.map(lambda leaf: 10 * leaf, nn.meta.unbox(boxed))


def stacked(params):
    """The same parameters for layers in a loop: block i of period p is layer p * PERIOD + i."""
    rest = {name: leaf for name, leaf in params["params"].items() if "blocks" not in name}
    blocks = [params["params"][f"blocks_{layer}"] for layer in range(LAYERS)]
    periods = {
        f"block_{index}": jax.tree.map(lambda *leaves: jnp.stack(leaves), *blocks[index::PERIOD])
        for index in range(PERIOD)
    }
    return {"params": {**rest, "periods": periods}}


def outcome(model, params, carry=None, **context):
    """Log-probabilities and their mean's gradients, by the parameters."""

    @jax.jit
    def run(params):
        def mean(params):
            log_probs_BT, after = model.apply(
                params, tokens_BT, targets_BT, carry, method="log_probs", **context
            )
            return log_probs_BT.mean(), (log_probs_BT, after)

        return jax.grad(mean, has_aux=True)(params)

    return run(params)


def assert_close(found, expected):
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), found, expected
    )


@pytest.mark.parametrize("remat", ["block", "products"])
def test_rematerialisation_changes_no_number_and_keeps_less(params, remat):
    assert_close(outcome(make(remat=remat), params), outcome(make(), params))

    def kept(model):
        def nats(params):
            return model.apply(params, tokens_BT, targets_BT, method="log_probs")[0].sum()

        _, pull = jax.vjp(nats, params)
        return sum(leaf.nbytes for leaf in jax.tree.leaves(pull))

    assert kept(make(remat="block")) < kept(make(remat="products")) < kept(make())


def test_rematerialisation_draws_the_same_dropout_twice(params):
    context = dict(deterministic=False, rngs={"dropout": jax.random.key(1)})
    expected = outcome(make(dropout=0.5), params, **context)
    assert_close(outcome(make(dropout=0.5, remat="block"), params, **context), expected)
    assert np.abs(expected[1][0] - outcome(make(), params)[1][0]).max() > 0.1


def test_a_mixer_behind_a_convolution_is_told_its_layer_too():
    changes = dict(pattern=("differential_attention",), position="rotary", layers=2)
    apart, behind = make(**changes), make(**changes, short_convolution=2)
    found = set()

    def note(next_fun, args, kwargs, context):
        is_mixer = isinstance(context.module, DifferentialAttention)
        if is_mixer and context.method_name == "__call__":
            found.add(context.module.layer)
        return next_fun(*args, **kwargs)

    for model in (apart, behind):
        with nn.intercept_methods(note):
            jax.eval_shape(model.init, jax.random.key(0), tokens_BT)
        assert found == {0, 1}
        found.clear()


MUCH = dict(
    norm_order="both",
    short_convolution=3,
    scaled_embedding=True,
    embedding_norm=True,
    logits_cap=3.0,
    feed_forwards=("mixture_of_experts", "squared_relu"),
    feed_forward_options={"mixture_of_experts": dict(experts=3)},
)


@pytest.mark.parametrize(("changes", "remat"), [({}, "none"), ({}, "block"), (MUCH, "products")])
@pytest.mark.parametrize("segments", [None, segment_ids_BT], ids=["whole", "segments"])
def test_layers_in_a_loop_are_the_same_function_of_the_same_parameters(changes, remat, segments):
    unrolled, loop = make(**changes), make(**changes, scan_layers=True, remat=remat)
    params = drawn(unrolled)
    for carry in (None, initial_carry(unrolled, params, 2, 8)):
        gradient, results = outcome(unrolled, params, carry, segment_ids_BT=segments)
        found = outcome(loop, stacked(params), carry, segment_ids_BT=segments)
        assert_close(found, (stacked(gradient), results))


@pytest.mark.parametrize("feed_forward", [None, "swiglu"])
def test_each_mixer_of_the_pattern_has_its_own_feed_forward_network_or_none(feed_forward):
    changes = dict(feed_forwards=("none", feed_forward or "none"), tied=False, norm="rms_norm")
    unrolled, loop = make(**changes), make(scan_layers=True, remat="block", **changes)
    params = drawn(unrolled)
    parts = [set(params["params"][f"blocks_{layer}"]) for layer in range(LAYERS)]
    alone = {"mixer", "mixer_norm"}
    second = alone | {"feed_forward", "feed_forward_norm"} if feed_forward else alone
    assert parts == [alone, second] * 2
    gradient, results = outcome(unrolled, params)
    assert_close(outcome(loop, stacked(params)), (stacked(gradient), results))


def test_what_layers_sow_in_a_loop_is_what_they_sow_without():
    options = {"mixture_of_experts": dict(experts=3, capacity_factor=0.7)}
    changes = dict(feed_forwards=("mixture_of_experts", "none"), feed_forward_options=options)
    unrolled = make(**changes)
    params = drawn(unrolled)

    def sown(model, params):
        def losses(params):
            collecting = Collecting(model)
            collecting.apply(params, tokens_BT, deterministic=False)
            return sum(collecting.losses.values()), collecting.measures

        return jax.jit(jax.value_and_grad(losses, has_aux=True))(params)

    told, gradient = sown(unrolled, params)
    assert told[0] > 0 and told[1]["dropped_share"] > 0.1
    for remat in ("none", "block", "products"):
        loop = make(**changes, scan_layers=True, remat=remat)
        assert_close(sown(loop, stacked(params)), (told, stacked(gradient)))


def test_layers_in_a_loop_are_drawn_apart_with_the_same_deviations():
    changes = dict(width=32, layers=3, pattern=("attention",))
    loop, unrolled = make(scan_layers=True, **changes), make(**changes)
    boxed = jax.jit(loop.init)(jax.random.key(0), tokens_BT)["params"]["periods"]["block_0"]
    assert boxed["mixer"]["qkv"]["kernel"].names == ("layers", "embed", "heads")
    expected = nn.meta.unbox(jax.jit(unrolled.init)(jax.random.key(0), tokens_BT))
    for part, name in (("mixer", "qkv"), ("mixer", "output"), ("feed_forward", "down")):
        kernel_LDF = nn.meta.unbox(boxed)[part][name]["kernel"]
        deviation = np.std(expected["params"]["blocks_0"][part][name]["kernel"])
        np.testing.assert_allclose(np.std(kernel_LDF, axis=(1, 2)), [deviation] * 3, rtol=0.1)
        assert np.abs(kernel_LDF[0] - kernel_LDF[1]).max() > deviation


class Constant(nn.Module):
    """A mixer or a feed-forward network that gives `value` everywhere."""

    value: float

    @nn.compact
    def __call__(self, x_BTD, carry=(), *context, deterministic=True):
        y_BTD = jnp.full_like(x_BTD, self.value)
        return y_BTD if carry == () else (y_BTD, carry)


@pytest.mark.parametrize("scan", [False, True], ids=["unrolled", "loop"])
def test_each_layer_drops_by_itself(scan):
    """Two layers add 1 or nothing, each: were they to drop alike, nowhere would be 2."""
    mixers, feed_forwards = (partial(Constant, 1.0),), (partial(Constant, 0.0),)
    stack = Stack(2, mixers, LayerNorm, feed_forwards, 0.5, "none", scan)
    arguments = np.zeros((4, 5, 6), np.float32), (None, None), np.arange(5)[None], None
    params = stack.init(jax.random.key(0), *arguments, True)
    keys = {"dropout": jax.random.key(1)}
    (y_BTD, _) = stack.apply(params, *arguments, False, rngs=keys)
    assert set(np.unique(y_BTD)) == {0.0, 2.0, 4.0}


@pytest.mark.parametrize(
    ("order", "expected"), [("pre", 1 + 10 + 30), ("post", 4.0), ("both", 1 + 1 + 3)]
)
def test_norms_stand_before_what_is_added_after_the_sum_or_around_it(order, expected):
    """A norm that divides by ten: what is added gets or is the rest of it."""

    class Norm(nn.Module):
        def __call__(self, x_BTD):
            return x_BTD / 10

    class Add(nn.Module):
        times: float

        def __call__(self, x_BTD, carry=(), *context, deterministic=True):
            y_BTD = self.times * x_BTD
            return y_BTD if carry == () else (y_BTD, carry)

    # pre: 1 + 100 / 10 = 11, + 300 / 11 * 11 / 10; post: (1 + 99) / 10 = 10, (10 + 3 * 10) / 10;
    # both: 1 + 100 / 100 = 2, + 150 * 2 / 100.
    times = {"pre": (100, 300 / 11), "post": (99, 3), "both": (100, 150)}
    mixer, feed_forward = times[order]
    parts = (partial(Add, mixer),), Norm, (partial(Add, feed_forward),)
    stack = Stack(1, *parts, 0.0, "none", False, norm_order=order)
    y_BTD, _ = stack.apply(
        {}, np.ones((1, 1, 1), np.float32), (None,), np.zeros((1, 1)), None, True
    )
    np.testing.assert_allclose(y_BTD[0, 0, 0], expected, rtol=1e-6)


def test_an_unknown_order_of_norms_is_named():
    with pytest.raises(UserError, match="unknown model.norm_order 'pots': did you mean 'post'"):
        Stack(1, (partial(Constant, 1.0),), LayerNorm, (None,), 0.0, "none", False, "pots")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(layers=0), "model.layers is 0"),
        (dict(pattern=()), "model.pattern is empty"),
        (dict(pattern=(), position="rotary"), "model.pattern is empty"),
        (dict(remat="blok"), "unknown model.remat 'blok': did you mean 'block'"),
        (dict(layers=3, scan_layers=True), "model.layers 3 is not a multiple of the 2 mixers"),
        (dict(mixers={"recurent": {}}), "'recurent', which model.pattern does not name; did you"),
        (dict(feed_forwards=("gelu",)), "names 1 feed-forward networks for the 2 mixers"),
        (
            dict(feed_forwards=("none", "swigloo")),
            "unknown model.feed_forwards 'swigloo': did you mean 'swiglu'",
        ),
        (dict(feed_forward_options={"relu": {}}), "'relu', which model.feed_forward does not name"),
        (dict(feed_forward_options={"gelu": {"inner": 3}}), "did you mean 'inner_width'"),
        (dict(feed_forward_width=-1), "a feed-forward network is -1 wide; give at least 1"),
        (dict(feed_forward_options={"gelu": 3}), "feed_forward_options.gelu is 3; give options by"),
        (dict(mixers={"recurrent": {"cel": "gru"}}), "did you mean 'cell'"),
    ],
)
def test_what_cannot_be_is_named(changes, message):
    with pytest.raises(UserError, match=message):
        make(**changes)


def test_a_loop_is_left_to_decode():
    unrolled, loop = make(), make(scan_layers=True, remat="block")
    params = drawn(unrolled)
    model, found = loop.for_decoding(stacked(params))
    assert model == unrolled
    jax.tree.map(np.testing.assert_array_equal, found, params)
    assert unrolled.for_decoding(params) == (unrolled, params)


def test_a_loop_is_kept_where_layers_would_be_told_their_number():
    loop = make(pattern=("differential_attention",), scan_layers=True)
    params = object()
    assert loop.for_decoding(params) == (loop, params)
