"""Rotary positions: pairs turned like complex numbers, products of which tell distances alone."""

import numpy as np
import pytest

from lmjax.errors import UserError
from lmjax.nn.rotary import angles, frequencies, rotate, size

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


def test_numbers_that_are_not_turned_are_left_and_the_others_may_grow():
    angle_BTN = angles(positions_BT, 4)
    found_BTHK = rotate(x_BTHK, angle_BTN, size=1.5)
    np.testing.assert_array_equal(found_BTHK[..., 4:], x_BTHK[..., 4:])
    alone_BTHK = rotate(x_BTHK[..., :4], angle_BTN)
    np.testing.assert_allclose(found_BTHK[..., :4], 1.5 * alone_BTHK, rtol=1e-5)


def test_linear_scaling_divides_positions():
    """Chen et al. (2023), equation 4."""
    np.testing.assert_allclose(frequencies(8, 100.0, "linear", 4.0), frequencies(8, 100.0) / 4)


def test_ntk_scaling_stretches_the_longest_wavelength_by_the_factor_and_the_shortest_not():
    """Peng et al. (2024), section 3.1: the base grows by factor^(d / (d - 2))."""
    plain_N, found_N = frequencies(8), frequencies(8, scaling="ntk", factor=4.0)
    np.testing.assert_allclose(found_N, (1e4 * 4 ** (8 / 6)) ** (-np.arange(4) / 4))
    np.testing.assert_allclose(plain_N[[0, -1]] / found_N[[0, -1]], [1, 4])


def test_llama3_scaling_goes_by_wavelengths_beside_the_trained_length():
    """Below a quarter of it they stay, above it they are stretched, between them in part."""
    length, factor = 64, 8.0
    plain_N = frequencies(16, 1000.0)
    found_N = frequencies(16, 1000.0, "llama3", factor, length)
    for plain, found in zip(plain_N, found_N, strict=True):
        wavelength = 2 * np.pi / plain
        if wavelength < length / 4:
            expected = plain
        elif wavelength > length:
            expected = plain / factor
        else:
            smooth = (length / wavelength - 1) / 3
            expected = (1 - smooth) * plain / factor + smooth * plain
        np.testing.assert_allclose(found, expected)
    assert len({0.0, 1.0} | set(np.round(plain_N / found_N, 6))) > 3


def test_yarn_keeps_what_turns_often_and_stretches_what_hardly_turns():
    """Peng et al. (2024), sections 3.2 and 3.3, with 32 and 1 turns, between whole pairs."""
    width, base, length, factor = 32, 10_000.0, 512, 8.0
    plain_N = frequencies(width, base)
    ratio_N = plain_N / frequencies(width, base, "yarn", factor, length)
    turns_N = length * plain_N / (2 * np.pi)
    first, last = np.flatnonzero(turns_N > 32)[-1], np.flatnonzero(turns_N < 1)[0]
    np.testing.assert_allclose(ratio_N[: first + 1], 1)
    np.testing.assert_allclose(ratio_N[last:], factor)
    ramp_N = (np.arange(width // 2) - first) / (last - first)
    share_N = np.clip(ramp_N, 0, 1)
    np.testing.assert_allclose(1 / ratio_N, share_N / factor + 1 - share_N)
    assert size("yarn", 32.0) == pytest.approx(0.1 * np.log(32.0) + 1)
    assert size("llama3", 32.0) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((7,), "a head has 7 numbers"),
        ((8, 1.0), "rotary_base is 1.0"),
        ((8, 1e4, "yarm"), "did you mean 'yarn'"),
        ((8, 1e4, "none", 2.0), "rotary_factor is 2.0 with rotary_scaling 'none'"),
        ((8, 1e4, "yarn", 2.0), "'yarn' needs rotary_trained_length"),
    ],
)
def test_values_that_make_no_sense_are_refused(arguments, message):
    with pytest.raises(UserError, match=message):
        frequencies(*arguments)
