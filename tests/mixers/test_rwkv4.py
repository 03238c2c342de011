"""RWKV-4's time mixing against the sums of Peng et al. (2023), and with keys far out."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.mixers.forms import by_steps
from lmjax.mixers.rwkv4 import WeightedSums, parallel, step
from tests.mixers.whole_layer import (
    WIDTH,
    check_layer,
    initial_params,
    make_layer,
    sigmoid,
)

ROWS, LENGTH, CHANNELS = 2, 9, 4


def wkv(k_TE, v_TE, decay_E, bonus_E):
    """Each token's mean of values, from all terms of its two sums."""
    found = []
    for t, (k_E, v_E) in enumerate(zip(k_TE, v_TE, strict=True)):
        weights = [np.exp(-(t - 1 - i) * decay_E + k_TE[i]) for i in range(t)]
        weights.append(np.exp(bonus_E + k_E))
        values = [*v_TE[:t], v_E]
        found.append(sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights))
    return np.array(found)


def time_mixing(params, x_TD):
    before_TD = np.concatenate([np.zeros((1, WIDTH)), x_TD[:-1]])

    def projected(name):
        mix_D = params[f"mix_{name}"]
        return (before_TD * mix_D + x_TD * (1 - mix_D)) @ params[name]["kernel"]

    k_TE, v_TE = projected("key"), projected("value")
    y_TE = wkv(k_TE, v_TE, np.exp(params["log_decay"]), params["bonus"])
    return (sigmoid(projected("receptance")) * y_TE) @ params["output"]["kernel"]


def test_time_mixing_follows_the_paper():
    check_layer("rwkv4", time_mixing)


def test_parameters_begin_as_the_authors():
    params = initial_params(make_layer("rwkv4"))
    np.testing.assert_allclose(params["log_decay"][np.array([0, -1])], [-5, 3])
    np.testing.assert_allclose(np.exp(params["bonus"][:3]), 0.3 * np.exp([0, 0.5, -0.5]), rtol=1e-6)
    for name, share in dict(key=0.5, value=0.5 + 0.15, receptance=0.5**0.5).items():
        np.testing.assert_allclose(params[f"mix_{name}"][WIDTH // 4], 1 - share, rtol=1e-5)


@pytest.mark.parametrize("form", ["step", "loop", "rounds"])
def test_no_key_is_too_large_or_too_small(form, monkeypatch):
    """Outputs and gradients are those of sums in float64; a segment begins in one of the rows."""
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu" if form == "rounds" else "cpu")
    random = np.random.default_rng(0)
    k, v, pull, along_k, along_v = random.normal(size=(5, ROWS, LENGTH, CHANNELS))
    k[:] = random.choice([-60.0, 0.0, 60.0], size=k.shape) + 0.1 * k
    k[0, :4] = -60.0 + 0.1 * k[0, :4]  # all that there is to see is small
    decay, bonus = np.exp([-5.0, -1.0, 1.0, 3.0]), np.array([-1.0, 0.0, 2.0, 5.0])
    borders = [[0, LENGTH], [0, 5, LENGTH]]
    begins_BT = np.zeros((ROWS, LENGTH), bool)
    begins_BT[1, 5] = True

    def expected(k, v, decay, bonus):
        return np.stack(
            [
                np.concatenate(
                    [
                        wkv(k[row, begin:end], v[row, begin:end], decay, bonus)
                        for begin, end in zip(borders[row], borders[row][1:], strict=False)
                    ]
                )
                for row in range(ROWS)
            ]
        )

    def found(k, v, decay, bonus):
        zeros = jnp.zeros((ROWS, CHANNELS))
        empty = WeightedSums(zeros, zeros, zeros - 1e38)
        one, many = (partial(part, decay_E=decay, bonus_E=bonus) for part in (step, parallel))
        many = partial(by_steps, one) if form == "step" else many
        return many(empty, k, v, begins_BT)[0]

    inputs = k, v, decay, bonus
    narrow = [jnp.asarray(leaf, jnp.float32) for leaf in inputs]
    wide = [np.float64(leaf) for leaf in narrow]
    np.testing.assert_allclose(found(*narrow), expected(*wide), rtol=1e-4, atol=1e-5)
    direction = along_k, along_v, 0.1 * decay, np.ones(CHANNELS)
    gradient = jax.grad(lambda inputs: jnp.sum(found(*inputs) * pull))(narrow)
    assert all(np.isfinite(leaf).all() for leaf in gradient)
    for at, toward in enumerate(direction):
        ends = [
            np.sum(expected(*wide[:at], wide[at] + 1e-5 * sign * toward, *wide[at + 1 :]) * pull)
            for sign in (1, -1)
        ]
        slope = np.sum(np.float64(gradient[at]) * toward)
        np.testing.assert_allclose(slope, (ends[0] - ends[1]) / 2e-5, rtol=1e-3, atol=1e-4)
