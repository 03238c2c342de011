"""Mixers whose states change element by element, against loops written from their papers."""

import flax.linen as nn
import jax
import numpy as np
import pytest

from lmjax.errors import UserError
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


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("min_gru", dict(expansion=0), "expansion of a minimal RNN is 0"),
        ("rg_lru", dict(inner_width=5), "inner width 5 of rg_lru is not a multiple of the 2 heads"),
        ("lru", dict(smallest_radius=0.5, largest_radius=0.4), "radii of lru are 0.5 and 0.4"),
    ],
)
def test_impossible_options_are_refused(name, options, message):
    with pytest.raises(UserError, match=message):
        layer(name, **options)
