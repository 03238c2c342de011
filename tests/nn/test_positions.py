"""Learned positions: one row of the table for each position."""

import flax.linen as nn
import jax
import numpy as np

from lmjax.nn.positions import LearnedPosition


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
