import jax
import jax.numpy as jnp

from lmjax.models.cost import matmul_flops, model_cost
from tests.properties.variants import VOCABULARY, build


def test_flops_of_products_in_loops_and_gradients():
    def loss(w_DD, x_BD):
        def step(h_BD, _):
            return jnp.tanh(h_BD @ w_DD), None

        return jax.lax.scan(step, x_BD, None, length=5)[0].sum()

    w_DD, x_BD = jnp.ones((4, 4)), jnp.ones((3, 4))
    one = 2 * 3 * 4 * 4
    assert matmul_flops(jax.make_jaxpr(loss)(w_DD, x_BD).jaxpr) == 5 * one
    # Backward: one product for the weights and one for the state, each step.
    assert matmul_flops(jax.make_jaxpr(jax.grad(loss))(w_DD, x_BD).jaxpr) == 3 * 5 * one


def test_transformer_by_hand():
    layers, width, length, positions = 2, 8, 10, 16
    model = build("transformer", dict(layers=2, width=8, heads=2, context_length=positions))
    abstract = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, length), jnp.int32))
    cost = model_cost(model, abstract, length)
    block = 12 * width**2 + 2 * width  # four attention matrices, a feed-forward of 4 D, two norms
    embedding = VOCABULARY * width + positions * width
    assert cost.parameters == layers * block + width + embedding
    assert cost.non_embedding == layers * block + width
    attention = 2 * 2 * length * width
    assert cost.flops_per_token == (
        layers * (2 * 12 * width**2 + attention) + 2 * VOCABULARY * width
    )
    assert cost.training_flops_per_token == 3 * cost.flops_per_token


def test_lstm_by_hand():
    width = 6
    model = build("rnn", dict(layers=2, width=width))
    abstract = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 5), jnp.int32))
    cost = model_cost(model, abstract, 5)
    cell = 4 * (2 * width**2 + width)
    assert cost.parameters == 2 * cell + VOCABULARY * width + VOCABULARY * width + VOCABULARY
    assert cost.flops_per_token == 2 * (2 * 8 * width**2) + 2 * VOCABULARY * width
    # Two layers of (h, c) in float32, and a segment id and a position.
    assert cost.state_bytes == 2 * 2 * width * 4 + cost.state_bytes % (4 * width)
