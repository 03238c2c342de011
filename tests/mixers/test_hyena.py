"""Hyena against sums over all pairs of tokens, with filters written out from the paper."""

import flax.linen as nn
import jax
import numpy as np
import pytest

from lmjax.errors import UserError
from lmjax.mixers.hyena import Hyena

ROWS, LENGTH, WIDTH, ORDER, BANDS, CONTEXT, TAPS = 2, 19, 4, 2, 3, 7, 3
x_BTD = np.random.default_rng(0).normal(size=(ROWS, LENGTH, WIDTH)).astype(np.float32)
time_BT = np.arange(LENGTH)[None]


def make(**changes):
    normal = nn.initializers.normal(0.5)
    options = dict(order=ORDER, bands=BANDS, filter_width=5, context_length=CONTEXT) | changes
    return Hyena(width=WIDTH, bias=True, initializer=normal, output_initializer=normal, **options)


@pytest.fixture(scope="module")
def params():
    return nn.meta.unbox(make().init(jax.random.key(0), x_BTD, None, time_BT, None, True))


def filters_of(params):
    """`h_NTD`: a network of sines of each distance, under a window that falls."""
    h_NTD = np.zeros((ORDER, LENGTH, WIDTH))
    for t in range(LENGTH):
        angles = [2 * np.pi * t / CONTEXT * f for f in np.linspace(1e-4, BANDS - 1, BANDS)]
        hidden = np.array([t / (CONTEXT - 1), *np.cos(angles), *np.sin(np.negative(angles))])
        for layer in range(3):
            dense = params[f"filter_{layer}"]
            hidden = hidden @ dense["kernel"] + dense["bias"]
            hidden = np.sin(params[f"frequency_{layer}"] * hidden)
        heights_ND = (hidden @ params["filter"]["kernel"]).reshape(ORDER, WIDTH)
        for d in range(WIDTH):
            # The window of the first channel is 0.01 after 1.5 contexts, of the last after 0.3.
            rates = np.log(0.01) / 1.5, np.log(0.01) / 0.3
            rate = rates[0] + (rates[1] - rates[0]) * d / (WIDTH - 1)
            h_NTD[:, t, d] = heights_ND[:, d] * (np.exp(rate * t / (CONTEXT - 1)) + 0.05)
    return h_NTD


def test_it_follows_the_definition_of_the_paper(params):
    found_BTD, _ = make().apply(params, x_BTD, None, time_BT, None, True)
    params = jax.tree.map(np.float64, params["params"])
    h_NTD, short = filters_of(params), params["convolution"]
    for row in range(ROWS):
        u_TE = x_BTD[row] @ params["input"]["kernel"] + params["input"]["bias"]
        mixed_TE = np.zeros_like(u_TE) + short["bias"]
        for t in range(LENGTH):
            for tap in range(min(TAPS, t + 1)):
                mixed_TE[t] += short["kernel"][TAPS - 1 - tap] * u_TE[t - tap]
        z_TD, *gates = np.split(mixed_TE, ORDER + 1, axis=1)
        for n in range(ORDER):
            y_TD = params["skip"][n] * z_TD
            for t in range(LENGTH):
                y_TD[t] += sum(h_NTD[n, t - s] * z_TD[s] for s in range(t + 1))
            z_TD = gates[n] * y_TD
        expected_TD = z_TD @ params["output"]["kernel"] + params["output"]["bias"]
        np.testing.assert_allclose(found_BTD[row], expected_TD, rtol=1e-4, atol=1e-4)


def test_a_token_without_a_slot_has_no_output(params):
    carry = make().initial_carry(ROWS, LENGTH - 1)
    y_BTD, _ = make().apply(params, x_BTD, carry, time_BT, None, True)
    whole_BTD, _ = make().apply(params, x_BTD, None, time_BT, None, True)
    np.testing.assert_allclose(y_BTD[:, :-1], whole_BTD[:, :-1], rtol=1e-4, atol=1e-4)
    assert np.isnan(y_BTD[:, -1]).all()


def test_sizes_below_one_are_refused():
    with pytest.raises(UserError, match="bands of hyena is 0"):
        make(bands=0)
