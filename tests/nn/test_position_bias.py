"""Biases by distance: each bucket's distances, and whose score each number is added to."""

import flax.linen as nn
import jax
import numpy as np
import pytest

from lmjax.nn.position_bias import Alibi, PositionBias, RelativePosition, bucket_of


def test_half_of_the_buckets_are_one_distance_each_and_the_others_grow_by_a_factor():
    """Raffel et al. 2020, section 2.1: 8 buckets, and all from 16 on are one."""
    past_N = -np.arange(0, 20)
    expected_N = [0, 1, 2, 3, 4, 4, 5, 5, 6, 6, 6, 6, 7, 7, 7, 7, 7, 7, 7, 7]
    np.testing.assert_array_equal(bucket_of(past_N, 8, 16, both_sides=False), expected_N)
    np.testing.assert_array_equal(bucket_of(np.arange(5), 8, 16, both_sides=False), 0)
    both_N = bucket_of(np.array([-20, -3, -1, 0, 1, 3, 20]), 8, 16, both_sides=True)
    np.testing.assert_array_equal(both_N, [3, 2, 1, 0, 5, 6, 7])


@pytest.mark.parametrize("both_sides", [False, True])
def test_a_score_gets_the_number_of_its_heads_bucket(both_sides):
    heads, buckets, farthest = 2, 6, 5
    layer = RelativePosition(heads, buckets, farthest, both_sides, nn.initializers.normal(1.0))
    params = nn.meta.unbox(layer.init(jax.random.key(0)))
    table_NH = params["params"]["embedding"]
    assert table_NH.shape == (buckets, heads)
    distance_BTS = np.array([[[0, 1, -1, 4], [-9, 9, -4, -2]]])
    bias_BHTS = layer.apply(params)(distance_BTS)
    bucket_BTS = bucket_of(distance_BTS, buckets, farthest, both_sides)
    np.testing.assert_array_equal(bias_BHTS, np.moveaxis(table_NH[bucket_BTS], -1, 1))


def test_distances_have_a_middle_and_two_ends():
    bias = PositionBias(np.arange(5.0)[:, None])
    distance_BTS = np.array([[[-7, -2, -1, 0, 1, 2, 7]]])
    np.testing.assert_array_equal(bias(distance_BTS)[0, 0, 0], [0, 0, 1, 2, 3, 4, 4])


def test_alibi_subtracts_the_distance_times_a_slope_for_each_head():
    """Press et al. 2022, section 3: 1/2 to 1/256 for 8 heads, for 12 also every second of 16's."""
    eight_H = 0.5 ** np.arange(1, 9)
    sixteen_H = 0.5 ** (np.arange(1, 17) / 2)
    np.testing.assert_allclose(Alibi(8).slope_H, eight_H)
    np.testing.assert_allclose(Alibi(16).slope_H, sixteen_H)
    np.testing.assert_allclose(Alibi(12).slope_H, [*eight_H, *sixteen_H[0:8:2]])
    bias_BHTS = Alibi(8)(np.array([[[-7, 0, 2]]]))
    np.testing.assert_allclose(bias_BHTS[0, :, 0], -eight_H[:, None] * np.array([7, 0, 2]))
