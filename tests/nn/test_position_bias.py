"""Biases by distance: each bucket's distances, and whose score each number is added to."""

import flax.linen as nn
import jax
import numpy as np
import pytest

from lmjax.nn.position_bias import PositionBias, RelativePosition, bucket_of


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
