"""Rotary positions: pairs turned like complex numbers, products of which tell distances alone."""

import numpy as np

from lmjax.nn.rotary import angles, rotate

ROWS, LENGTH, HEADS, WIDTH = 2, 5, 3, 6
generator = np.random.default_rng(0)
x_BTHK, y_BTHK = generator.normal(size=(2, ROWS, LENGTH, HEADS, WIDTH)).astype(np.float32)
positions_BT = np.array([[0, 1, 2, 0, 1], [7, 8, 9, 10, 11]])


def test_each_pair_is_a_complex_number_that_is_turned():
    """Su et al. (2021), equation 13, with theta_i = 10000^(-2(i-1)/d)."""
    found_BTHK = rotate(x_BTHK, angles(positions_BT, WIDTH, base=100.0))
    for n in range(WIDTH // 2):
        turn_BT1 = np.exp(1j * positions_BT * 100.0 ** (-2 * n / WIDTH))[..., None]
        expected_BTH = (x_BTHK[..., n] + 1j * x_BTHK[..., n + WIDTH // 2]) * turn_BT1
        np.testing.assert_allclose(found_BTHK[..., n], expected_BTH.real, atol=1e-5)
        np.testing.assert_allclose(found_BTHK[..., n + WIDTH // 2], expected_BTH.imag, atol=1e-5)


def test_products_depend_on_the_distance_alone():
    """Section 3.4.3: all tokens moved by 1,000, also in rows of their own."""

    def scores(positions_BT):
        angle_BTN = angles(positions_BT, WIDTH)
        return np.einsum("bthk,bshk->bhts", rotate(x_BTHK, angle_BTN), rotate(y_BTHK, angle_BTN))

    time_BT = np.arange(LENGTH)[None]
    np.testing.assert_allclose(scores(time_BT + 1000), scores(time_BT), atol=1e-3)
    assert np.abs(scores(time_BT * 2) - scores(time_BT)).max() > 0.1
