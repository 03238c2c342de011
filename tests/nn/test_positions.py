"""Positions: one row of a table for each, sines and cosines of it, or nothing."""

import flax.linen as nn
import jax
import numpy as np
import pytest

from lmjax.nn.positions import LearnedPosition, NoPosition, SinusoidalPosition


def test_each_position_has_its_row_and_no_gradient_goes_to_others():
    layer = LearnedPosition(context_length=6, width=3, initializer=nn.initializers.normal(1.0))
    positions_BT = np.array([[0, 1, 2], [4, 0, 1]])
    boxed = layer.init(jax.random.key(0), positions_BT)
    assert boxed["params"]["embedding"].names == ("position", "embed")
    params = nn.meta.unbox(boxed)
    table_SD = params["params"]["embedding"]
    np.testing.assert_array_equal(layer.apply(params, positions_BT), table_SD[positions_BT])

    gradient = jax.grad(lambda params: layer.apply(params, positions_BT).sum())(params)
    times_read_S = np.bincount(positions_BT.ravel(), minlength=6)
    np.testing.assert_array_equal(
        gradient["params"]["embedding"], np.repeat(times_read_S[:, None], 3, axis=1)
    )


@pytest.mark.parametrize("width", [6, 7])
def test_sinusoidal_positions_are_those_of_the_paper_and_do_not_end(width):
    """Vaswani et al. 2017, section 3.5, with all sines before all cosines."""
    layer = SinusoidalPosition(context_length=2, width=width, initializer=None)
    positions_BT = np.array([[0, 1, 5], [40, 1000, 3]])
    x_BTD = layer.apply({}, positions_BT)
    pairs = -(-width // 2)
    for feature in range(width):
        pair, form = (feature, np.sin) if feature < pairs else (feature - pairs, np.cos)
        expected_BT = form(positions_BT / 10_000 ** (2 * pair / width))
        np.testing.assert_allclose(x_BTD[..., feature], expected_BT, atol=1e-4)


def test_no_position_adds_nothing():
    layer = NoPosition(context_length=2, width=3, initializer=None)
    x_BTD = np.ones((2, 4, 3), np.float32)
    np.testing.assert_array_equal(x_BTD + layer.apply({}, np.arange(4)[None]), x_BTD)
