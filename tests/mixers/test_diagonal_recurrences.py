"""Mixers whose states change element by element, against loops written from their papers."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from lmjax.errors import UserError
from lmjax.mixers import s4d
from lmjax.mixers.registry import mixer_maker

ROWS, LENGTH, WIDTH = 2, 7, 4
x_BTD = np.random.default_rng(0).normal(size=(ROWS, LENGTH, WIDTH)).astype(np.float32)
positions_BT = np.arange(LENGTH)[None]
normal = nn.initializers.normal(0.7)
GIVEN = dict(width=WIDTH, heads=2, bias=True, initializer=normal, output_initializer=normal)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def layer(name, **options):
    """`params, y_BTD` of a mixer, with parameters moved away from where they begin."""
    mixer = mixer_maker(name, options, GIVEN)()
    params = nn.meta.unbox(mixer.init(jax.random.key(0), x_BTD, None, positions_BT, None, True))
    generator = np.random.default_rng(1)
    params = jax.tree.map(lambda leaf: leaf + 0.2 * generator.normal(size=leaf.shape), params)
    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float32), params)
    y_BTD, _ = mixer.apply(params, x_BTD, None, positions_BT, None, True)
    return jax.tree.map(np.float64, params["params"]), y_BTD


def dense(weights, x):
    return x @ weights["kernel"] + weights.get("bias", 0.0)


def check(found_BTD, token_by_token):
    """`y_D` of each token of each row: `for y_D in token_by_token(x_TD)`."""
    expected_BTD = [list(token_by_token(x_TD)) for x_TD in x_BTD.astype(np.float64)]
    np.testing.assert_allclose(found_BTD, expected_BTD, rtol=1e-4, atol=1e-5)


def g(x):
    return np.where(x >= 0, x + 0.5, sigmoid(x))


@pytest.mark.parametrize("expansion", [1, 2])
def test_min_gru_is_that_of_its_paper(expansion):
    params, y_BTD = layer("min_gru", expansion=expansion)

    def tokens(x_TD):
        h = 0.0
        for x in x_TD:
            candidate, gate = np.split(dense(params["input"], x), 2)
            z = sigmoid(gate)
            h = (1 - z) * h + z * g(candidate)
            yield dense(params["output"], h) if expansion > 1 else h

    check(y_BTD, tokens)


def test_min_lstm_is_that_of_its_paper():
    params, y_BTD = layer("min_lstm")

    def tokens(x_TD):
        h = 0.0
        for x in x_TD:
            candidate, forget, add = np.split(dense(params["input"], x), 3)
            f, i = sigmoid(forget), sigmoid(add)
            h = f / (f + i) * h + i / (f + i) * g(candidate)
            yield dense(params["output"], h)

    check(y_BTD, tokens)


def test_lru_is_the_recurrence_of_its_paper():
    params, y_BTD = layer("lru", state_width=3)
    real_DN, imaginary_DN = np.split(params["input"]["kernel"], 2, axis=1)
    b_DN = real_DN + 1j * imaginary_DN
    real_ND, minus_imaginary_ND = np.split(params["output"]["kernel"], 2)
    c_ND = real_ND - 1j * minus_imaginary_ND
    lambda_N = np.exp(-np.exp(params["log_rate"]) + 1j * np.exp(params["log_phase"]))

    def tokens(x_TD):
        h = 0.0
        for x in x_TD:
            h = lambda_N * h + np.exp(params["log_scale"]) * (x @ b_DN)
            yield (h @ c_ND).real + params["skip"] * x

    check(y_BTD, tokens)


def test_lru_begins_on_its_ring():
    mixer = mixer_maker("lru", dict(state_width=500), GIVEN)()
    params = mixer.init(jax.random.key(0), x_BTD, None, positions_BT, None, True)
    params = nn.meta.unbox(params)["params"]
    radius_N = np.exp(-np.exp(params["log_rate"]))
    assert 0.9 <= radius_N.min() < 0.91 and 0.99 < radius_N.max() <= 0.999
    np.testing.assert_allclose(np.exp(params["log_scale"]), np.sqrt(1 - radius_N**2), rtol=1e-3)
    assert np.exp(params["log_phase"]).max() > 6


def test_lru_begins_with_numbers_even_where_zeros_are_drawn(monkeypatch):
    mixer = mixer_maker("lru", dict(smallest_radius=0.0), GIVEN)()

    def lowest(key, shape, dtype, low, high):
        return jnp.full(shape, low, dtype)

    monkeypatch.setattr(jax.random, "uniform", lowest)
    params = mixer.init(jax.random.key(0), x_BTD, None, positions_BT, None, True)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(params))


def gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def test_rg_lru_is_the_block_of_griffin():
    """Equations 1 to 4, with two blocks of three channels; the first token is not scaled."""
    params, y_BTD = layer("rg_lru", inner_width=6, convolution_width=3)
    kernel_WE, bias_E = (params["convolution"][name] for name in ("kernel", "bias"))

    def tokens(x_TD):
        h, past = 0.0, [np.zeros(6)] * 2
        for t, x in enumerate(x_TD):
            past = [*past[-2:], dense(params["input"], x)]
            u = sum(k * v for k, v in zip(kernel_WE, past, strict=True)) + bias_E
            r, i = np.zeros(6), np.zeros(6)
            for head in range(2):
                block = slice(3 * head, 3 * head + 3)
                gates = u[block] @ params["gate_kernel"][head] + params["gate_bias"][head]
                r[block], i[block] = sigmoid(gates[:3]), sigmoid(gates[3:])
            a = sigmoid(-params["rate"]) ** (8 * r)
            h = a * h + (np.sqrt(1 - a**2) if t else 1.0) * i * u
            yield dense(params["output"], gelu(dense(params["gate"], x)) * h)

    check(y_BTD, tokens)


def test_rg_lru_begins_with_a_long_memory():
    mixer = mixer_maker("rg_lru", dict(inner_width=500), GIVEN)()
    params = mixer.init(jax.random.key(0), x_BTD, None, positions_BT, None, True)
    decay_E = sigmoid(-np.asarray(nn.meta.unbox(params)["params"]["rate"])) ** 8
    assert 0.9 <= decay_E.min() < 0.91 and 0.99 < decay_E.max() <= 0.999


@pytest.mark.parametrize("form", ["parallel", "step"])
@pytest.mark.parametrize("spectrum", ["linear", "inverse", "real"])
def test_s4d_is_the_state_space_model_of_its_paper(spectrum, form):
    """Zero-order hold, with B = 1 and conjugate states written out."""
    params, y_BTD = layer("s4d", spectrum=spectrum, state_width=6, chunk=3, form=form)
    delta_E1 = np.exp(params["log_step"])[:, None]
    a_EN, c_EN = -np.exp(params["log_real"]), params["c_real"]
    if spectrum != "real":
        a_EN, c_EN = a_EN + 1j * params["imaginary"], c_EN + 1j * params["c_imaginary"]
        a_EN, c_EN = (np.concatenate([one, np.conj(one)], axis=1) for one in (a_EN, c_EN))
    assert a_EN.shape == (WIDTH, 6)

    def tokens(x_TD):
        h_EN = np.zeros(a_EN.shape)
        for x in x_TD:
            decay_EN = np.exp(delta_E1 * a_EN)
            h_EN = decay_EN * h_EN + (decay_EN - 1) / a_EN * x[:, None]
            y = gelu(np.sum(c_EN * h_EN, axis=1).real + params["skip"] * x)
            yield dense(params["output"], y) * sigmoid(dense(params["gate"], y))

    check(y_BTD, tokens)


@pytest.mark.parametrize(
    ("spectrum", "expected"),
    [
        ("linear", [-0.5, -0.5 + 1j * np.pi, -0.5 + 2j * np.pi]),
        ("inverse", [-0.5 + 6j / np.pi * (6 / odd - 1) for odd in (1, 3, 5)]),
        ("real", [-1, -2, -3, -4, -5, -6]),
    ],
)
def test_s4d_begins_with_its_spectrum(spectrum, expected):
    mixer = mixer_maker("s4d", dict(spectrum=spectrum, state_width=6), GIVEN)()
    params = mixer.init(jax.random.key(0), x_BTD, None, positions_BT, None, True)
    params = nn.meta.unbox(params)["params"]
    found_EN = -np.exp(params["log_real"]) + 1j * params.get("imaginary", 0.0)
    np.testing.assert_allclose(found_EN, [expected] * WIDTH, rtol=1e-5)


def test_the_convolution_of_s4d_begins_and_ends_with_a_state():
    """As step after step: y, the state after, and the gradient by everything."""
    generator = np.random.default_rng(2)
    shapes = dict(h_BEN=(ROWS, WIDTH, 3), log_decay_EN=(WIDTH, 3), c_EN=(WIDTH, 3))
    draws = {name: generator.normal(size=(2, *shape)) for name, shape in shapes.items()}
    draws["log_decay_EN"][0] = -np.abs(draws["log_decay_EN"][0])
    pull_BTE = generator.normal(size=x_BTD.shape)

    def outcome(form):
        def total(x_BTE, parts):
            h_BEN, log_decay_EN, c_EN = (lax.complex(*parts[name]) for name in shapes)
            y_BTE, h_BEN = form(h_BEN, x_BTE, dict(log_decay_EN=log_decay_EN, c_EN=c_EN))
            return jnp.sum(y_BTE * pull_BTE) + jnp.sum(jnp.abs(h_BEN) ** 2), (y_BTE, h_BEN)

        parts = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), draws)
        return jax.grad(total, argnums=(0, 1), has_aux=True)(x_BTD, parts)

    def by_steps(h_BEN, x_BTE, space):
        found, always = [], np.ones(ROWS, bool)
        for t in range(LENGTH):
            y_BE, h_BEN = s4d.step(h_BEN, x_BTE[:, t], always, ~always, **space)
            found.append(y_BE)
        return jnp.stack(found, axis=1), h_BEN

    def convolved(h_BEN, x_BTE, space):
        return s4d.convolution(h_BEN, x_BTE, **space, chunk=3)

    def close(found, expected):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)

    jax.tree.map(close, outcome(convolved), outcome(by_steps))


@pytest.mark.parametrize(("pooling", "window"), [("f", 1), ("fo", 2), ("ifo", 3)])
def test_qrnn_is_the_pooling_of_its_paper(pooling, window):
    params, y_BTD = layer("qrnn", pooling=pooling, window=window)

    def tokens(x_TD):
        c, past = 0.0, [np.zeros(WIDTH)] * window
        for x in x_TD:
            past = [*past[1:], x]
            sums = np.split(dense(params["input"], np.concatenate(past)), 1 + len(pooling))
            z, *gates = np.tanh(sums[0]), *sigmoid(np.array(sums[1:]))
            if pooling == "f":
                f, i, o = gates[0], 1 - gates[0], 1.0
            elif pooling == "fo":
                f, i, o = gates[0], 1 - gates[0], gates[1]
            else:
                i, f, o = gates
            c = f * c + i * z
            yield o * c

    check(y_BTD, tokens)


@pytest.mark.parametrize("bias", [0.0, -3.0])
def test_sru_is_that_of_its_paper(bias):
    params, y_BTD = layer("sru", highway_bias=bias)
    w, w_f, w_r = np.split(params["input"]["kernel"], 3, axis=1)

    def tokens(x_TD):
        c = np.zeros(WIDTH)
        for x in x_TD:
            f = sigmoid(x @ w_f + params["forget_weight"] * c + params["forget_bias"])
            r = sigmoid(x @ w_r + params["reset_weight"] * c + params["reset_bias"])
            c = f * c + (1 - f) * (x @ w)
            yield r * c + (1 - r) * np.sqrt(1 + 2 * np.exp(bias)) * x

    check(y_BTD, tokens)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("min_gru", dict(expansion=0), "expansion of a minimal RNN is 0"),
        (
            "rg_lru",
            dict(inner_width=5),
            "inner width 5 of rg_lru is not a multiple of its 2 blocks",
        ),
        ("s4d", dict(state_width=3), "state_width of s4d is 3"),
        ("s4d", dict(spectrum="linaer"), "unknown spectrum 'linaer' of s4d: did you mean 'linear'"),
        ("qrnn", dict(pooling="oof"), "unknown pooling 'oof' of qrnn"),
        ("qrnn", dict(window=0), "window of qrnn is 0"),
        ("lru", dict(smallest_radius=0.5, largest_radius=0.4), "radii of lru are 0.5 and 0.4"),
    ],
)
def test_impossible_options_are_refused(name, options, message):
    with pytest.raises(UserError, match=message):
        layer(name, **options)
