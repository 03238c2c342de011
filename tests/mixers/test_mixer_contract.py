"""What the contract asks of every registered mixer, beside the properties of models."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.mixers.registry import MIXERS, mixer_maker

ROWS, LENGTH, WIDTH = 2, 5, 32
x_BTD = np.random.default_rng(0).normal(size=(ROWS, LENGTH, WIDTH)).astype(np.float32)
segment_ids_BT = np.array([[0, 0, 0, 1, 1], [0, 0, 0, 0, 2]], np.int32)
positions_BT = np.array([[0, 1, 2, 0, 1], [0, 1, 2, 3, 0]], np.int32)
normal = nn.initializers.normal(0.2)
GIVEN = dict(
    width=WIDTH, heads=2, bias=False, dropout=0.0, initializer=normal, output_initializer=normal
)


@pytest.fixture(params=MIXERS)
def made(request):
    """A mixer with its default options, and its parameters."""
    mixer = mixer_maker(request.param, {}, GIVEN)()
    return mixer, nn.meta.unbox(
        mixer.init(jax.random.key(0), x_BTD, None, positions_BT, segment_ids_BT, True)
    )


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_y_is_of_the_type_of_x_and_a_carry_stays_as_it_was_made(made, dtype):
    mixer, params = made
    fresh = mixer.initial_carry(ROWS, LENGTH)

    @jax.jit
    def read(x_BTD, carry):
        return mixer.apply(params, x_BTD, carry, positions_BT, segment_ids_BT, True)

    x = jnp.asarray(x_BTD, dtype)
    y_BTD, after = read(x, fresh)
    assert y_BTD.dtype == dtype
    kinds = [jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), tree) for tree in (fresh, after)]
    assert kinds[0] == kinds[1]
    alone_BTD, nothing = read(x, None)
    assert nothing is None and alone_BTD.dtype == dtype
    np.testing.assert_allclose(
        y_BTD.astype(np.float32), alone_BTD.astype(np.float32), rtol=0.02, atol=1e-4
    )
    exact_BTD = read(jnp.asarray(x, jnp.float32), None)[0]
    np.testing.assert_allclose(
        y_BTD.astype(np.float32), exact_BTD, atol=0.02 * np.abs(exact_BTD).max()
    )


def test_rows_may_share_their_positions(made):
    mixer, params = made
    time_BT = np.arange(LENGTH)[None]
    y_BTD, _ = mixer.apply(params, x_BTD, None, time_BT, None, True)
    expected_BTD, _ = mixer.apply(params, x_BTD, None, np.repeat(time_BT, ROWS, 0), None, True)
    np.testing.assert_array_equal(y_BTD, expected_BTD)
