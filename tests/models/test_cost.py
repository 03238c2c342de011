import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest

from lmjax.config import base_config
from lmjax.models.contract import LanguageModel
from lmjax.models.cost import model_cost, state_bytes
from lmjax.objectives.causal import Causal
from lmjax.training.program import training_cost
from tests.properties.variants import VOCABULARY, build


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


@pytest.mark.parametrize("scan", [False, True])
def test_of_experts_those_count_as_active_that_a_token_goes_through(scan):
    width, inner, experts, each, length = 8, 6, 4, 1, 10
    options = dict(experts=experts, experts_per_token=each, capacity_factor=2.0, expert="relu")
    fields = dict(layers=2, width=width, heads=2, context_length=16, feed_forward_width=inner)
    fields |= dict(feed_forward="mixture_of_experts", scan_layers=scan)
    fields |= dict(feed_forward_options={"mixture_of_experts": options})
    model = build("transformer", fields)
    params = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, length), jnp.int32))
    data = base_config("transformer").data
    data.length = length
    cost = training_cost(data, Causal(), model, params)
    expert, router = 2 * width * inner, width * experts
    rest = cost.parameters - 2 * experts * expert
    assert cost.active == rest + 2 * each * expert
    assert rest == 2 * (4 * width**2 + router + 2 * width) + (VOCABULARY + 16 + 1) * width
    # Twice as many places as tokens, for each of which the expert's matrices are read.
    attention = 8 * width**2 + 4 * length * width
    layer = attention + 2 * router + 2 * each * 2 * expert
    assert cost.flops_per_token == 2 * layer + 2 * VOCABULARY * width
    assert cost.training_flops_per_token == 3 * cost.flops_per_token


def test_of_softmaxes_beside_experts_all_count_as_active():
    fields = dict(layers=1, width=8, heads=2, context_length=16, feed_forward="mixture_of_experts")

    def inactive(**output):
        model = build("transformer", fields | output)
        params = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 4), jnp.int32))
        cost = model_cost(model, params, 4)
        return cost.parameters - cost.active

    assert inactive(output="mixture_of_softmaxes", output_options={"experts": 3}) == inactive() > 0


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


def test_encoder_decoder_by_hand():
    width, length, source_length, slots = 8, 4, 6, 10
    fields = dict(layers=2, decoder_layers=1, width=width, heads=2, context_length=slots)
    model = build("encoder_decoder", fields | dict(bias=False))
    abstract = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, length), jnp.int32))
    cost = model_cost(model, abstract, length, source_length)
    encoder, decoder = 2 * (12 * width**2 + 2 * width), 16 * width**2 + 3 * width
    assert cost.parameters == encoder + decoder + VOCABULARY * width
    assert cost.non_embedding == encoder + decoder
    read = 2 * (2 * 12 * width**2 + 4 * source_length * width)  # of each token of the source
    remembered = 2 * 2 * width**2
    written = 2 * 14 * width**2 + 4 * (length + source_length) * width + 2 * VOCABULARY * width
    assert cost.flops_per_token == written + (read + remembered) * source_length / length
    assert cost.training_flops_per_token == 3 * cost.flops_per_token
    # Keys and values in float32, which of the source's tokens are there, and four counters.
    assert cost.state_bytes == 4 * 2 * width * (slots + source_length) + source_length + 4 * 4


def state_of(model, length):
    tokens_BT = jnp.zeros((1, 4), jnp.int32)
    return state_bytes(model, jax.eval_shape(model.init, jax.random.key(0), tokens_BT), length)


class Cache(LanguageModel):
    """Remembers every token, without a limit."""

    def initial_carry(self, batch_size, max_length):
        return jnp.zeros((batch_size, max_length), jnp.int32)

    @nn.compact
    def __call__(self, tokens_BT, carry=None):
        return self.param("p", lambda _: jnp.zeros(())), carry


def test_the_state_is_that_of_the_longest_context_or_else_of_the_rows():
    transformer = build("transformer", dict(layers=1, width=8, heads=2, context_length=16))
    assert state_of(transformer, 4) == state_of(transformer, 16) >= 2 * 16 * 8 * 4
    recurrent = build("rnn", dict(layers=1, width=6))
    assert state_of(recurrent, 4) == state_of(recurrent, 400)
    assert [state_of(Cache(3), length) for length in (4, 400)] == [16, 1600]


def test_what_is_not_counted_is_named():
    class Solver(LanguageModel):
        @nn.compact
        def __call__(self, tokens_BT, carry=None):
            kernel_VV = self.param("kernel", lambda _: jnp.eye(self.vocabulary_size))
            x_BTV = jax.nn.one_hot(tokens_BT, self.vocabulary_size)
            return jnp.linalg.solve(kernel_VV[None], x_BTV.swapaxes(1, 2)).swapaxes(1, 2), carry

        def initial_carry(self, batch_size, max_length):
            return ()

    model = Solver(5)
    params = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 4), jnp.int32))
    cost = model_cost(model, params, 4)
    assert cost.not_counted == ("lu",)
    assert cost.to_json()["not_counted"] == cost.not_counted
