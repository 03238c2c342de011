"""BaseConv against sums over the last tokens."""

import flax.linen as nn
import jax
import numpy as np
import pytest

from lmjax.errors import UserError
from lmjax.mixers.base_conv import BaseConv

ROWS, LENGTH, WIDTH = 2, 6, 3
x_BTD = np.random.default_rng(0).normal(size=(ROWS, LENGTH, WIDTH)).astype(np.float32)


def make(**options):
    normal = nn.initializers.normal(0.5)
    return BaseConv(width=WIDTH, initializer=normal, output_initializer=normal, **options)


def test_it_is_a_gate_times_a_short_convolution():
    time_BT = np.arange(LENGTH)[None]
    params = nn.meta.unbox(make().init(jax.random.key(0), x_BTD, None, time_BT, None, True))
    found_BTD, _ = make().apply(params, x_BTD, None, time_BT, None, True)
    params = jax.tree.map(np.float64, params["params"])
    both_BTE = x_BTD @ params["input"]["kernel"] + params["input"]["bias"]
    u_BTE, gate_BTE = np.split(both_BTE, 2, axis=-1)
    kernel_WE = params["convolution"]["kernel"]
    for row in range(ROWS):
        for t in range(LENGTH):
            sums_E = params["convolution"]["bias"].copy()
            for back in range(min(3, t + 1)):
                sums_E += kernel_WE[2 - back] * u_BTE[row, t - back]
            y_E = sums_E / (1 + np.exp(-sums_E)) * gate_BTE[row, t]
            expected_D = y_E @ params["output"]["kernel"] + params["output"]["bias"]
            np.testing.assert_allclose(found_BTD[row, t], expected_D, rtol=1e-4, atol=1e-5)


def test_sizes_below_one_are_refused():
    with pytest.raises(UserError, match="convolution_width 0"):
        make(convolution_width=0)
