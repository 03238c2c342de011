"""Counted operations against counting by hand and against XLA's own analysis."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from lmjax.models.flops import Flops, flops_of
from tests.properties.variants import build


def flops(function, *arguments):
    return flops_of(jax.make_jaxpr(function)(*arguments).jaxpr)


def test_products_in_loops_and_gradients():
    def loss(w_DD, x_BD):
        def step(h_BD, _):
            return jnp.tanh(h_BD @ w_DD), None

        return lax.scan(step, x_BD, None, length=5)[0].sum()

    w_DD, x_BD = jnp.ones((4, 4)), jnp.ones((3, 4))
    one = 2 * 3 * 4 * 4
    assert flops(loss, w_DD, x_BD).counted == 5 * one
    # Backward: one product for the weights and one for the state, each step.
    assert flops(jax.grad(loss), w_DD, x_BD).counted == 3 * 5 * one


@pytest.mark.parametrize(
    ("groups", "strides", "dilation"), [(1, 1, 1), (2, 1, 1), (4, 1, 1), (1, 2, 1), (1, 1, 3)]
)
def test_convolutions_and_their_gradients(groups, strides, dilation):
    layer = nn.Conv(8, (3,), strides, "VALID", kernel_dilation=dilation, feature_group_count=groups)
    x_BTD = jnp.ones((2, 13, 4))
    params = layer.init(jax.random.key(0), x_BTD)
    outputs = layer.apply(params, x_BTD).size
    one = 2 * outputs * 3 * 4 // groups
    assert flops(layer.apply, params, x_BTD).counted == one

    def loss(params, x_BTD):
        return layer.apply(params, x_BTD).sum()

    both = jax.value_and_grad(loss, argnums=(0, 1))
    found = flops(both, params, x_BTD).counted  # padding is counted, in the gradient by the input
    assert 2.5 * one <= found <= 4 * one


def test_as_xla_counts_where_products_prevail():
    model = build("transformer", dict(layers=2, width=96, heads=2, context_length=32))
    tokens_BT = np.zeros((2, 32), np.int32)
    params = nn.meta.unbox(model.init(jax.random.key(0), tokens_BT))

    def read(params, tokens_BT):
        return model.apply(params, tokens_BT)[0]

    xla = jax.jit(read).lower(params, tokens_BT).compile().cost_analysis()["flops"]
    ours = flops(read, params, tokens_BT).counted
    assert ours <= xla <= 1.1 * ours


def test_a_convolution_as_xla_counts_it():
    layer = nn.Conv(32, (5,), padding="VALID")
    x_BTD = jnp.ones((2, 40, 32))
    params = layer.init(jax.random.key(0), x_BTD)
    compiled = jax.jit(layer.apply).lower(params, x_BTD).compile()
    assert flops(layer.apply, params, x_BTD).counted == pytest.approx(
        compiled.cost_analysis()["flops"], rel=0.02
    )


@pytest.mark.parametrize("left_side", [True, False])
def test_triangular_systems_cost_a_multiply_and_an_add_below_the_diagonal(left_side):
    lower_BTT, rows_BTP = jnp.ones((2, 5, 5)), jnp.ones((2, 5, 3) if left_side else (2, 3, 5))

    def solve(right):
        return lax.linalg.triangular_solve(lower_BTT, right, left_side=left_side, lower=True).sum()

    assert flops(solve, rows_BTP).counted == 2 * 5 * 5 * 3
    assert not flops(jax.grad(solve), rows_BTP).not_counted
    assert flops(jax.grad(solve), rows_BTP).counted == 2 * 5 * 5 * 3  # the one of the gradient


def test_a_condition_costs_its_dearest_branch():
    def either(x_DD):
        return lax.cond(x_DD.sum() > 0, lambda x: x @ x @ x, lambda x: x @ x, x_DD)

    assert flops(either, jnp.ones((4, 4))).counted == 2 * 2 * 4**3


def test_what_can_not_be_counted_is_named():
    def wait(x_DD):
        return lax.while_loop(lambda x: x.sum() < 1e9, lambda x: x @ x, x_DD)

    x_DD = jnp.ones((4, 4))
    found = flops(wait, x_DD)
    assert found.counted == 0 and found.not_counted == {"products in a while loop"}
    assert not flops(lambda x: lax.while_loop(lambda x: x < 9, lambda x: x + 1, x), 1).not_counted
    assert flops(lambda x: jnp.linalg.svd(x)[0], x_DD).not_counted == {"svd"}
    sizes_G = jnp.array([2, 2])
    ragged = flops(lambda x: lax.ragged_dot(x, jnp.ones((2, 4, 4)), sizes_G), x_DD)
    assert ragged.not_counted == {"ragged_dot_general"}


def test_element_wise_operations_are_apart_from_products():
    def loss(w_DD, x_BD):
        def step(h_BD, _):
            return jnp.tanh(h_BD @ w_DD) + x_BD, None  # a tanh and an add of each

        return lax.scan(step, x_BD, None, length=5)[0].sum()

    found = flops(loss, jnp.ones((4, 4)), jnp.ones((3, 4)))
    assert found.elementwise == 5 * 2 * 12 + 12 and found.counted == 5 * 2 * 3 * 4 * 4


def test_what_is_no_arithmetic_or_of_no_floats_or_unused_is_not_counted():
    def function(x_N, counts_N):
        unused_N = jnp.exp(x_N) @ jnp.ones((5, 5))
        del unused_N
        return jnp.where(x_N > 0, x_N, 0.0).astype(jnp.float16), counts_N + 1

    assert flops(function, jnp.ones(5), jnp.ones(5, jnp.int32)) == Flops()


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda x_BD: x_BD.at[jnp.array([0, 1])].add(1.0), 2 * 4),
        (lambda x_BD: jnp.cumsum(x_BD, axis=0) - x_BD, 2 * 12),
        (lambda x_BD: lax.cond(x_BD[0, 0] > 0, jnp.exp, lambda x: -jnp.exp(x), x_BD), 2 * 12),
    ],
)
def test_scatters_sums_and_branches_of_element_wise_operations(function, expected):
    assert flops(function, jnp.ones((3, 4))).elementwise == expected


def test_element_wise_loops_without_an_end_are_named():
    found = flops(lambda x: lax.while_loop(lambda x: x.sum() < 9, lambda x: x + 1, x), jnp.ones(3))
    assert found.not_counted == {"element-wise operations in a while loop"}
